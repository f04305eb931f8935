// Package soak runs the helper for a while as on a busy machine: several users in
// parallel, daemons and helpers that are killed, mounts that hang. In the end nothing may
// be left: no mount, process, descriptor or line in a table.
package soak
