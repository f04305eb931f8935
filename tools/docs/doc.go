// Package docs holds what people read, and what their shells offer, to the
// program: each flag and mount option stands in --help, in the manual pages and
// in the completions, and the completions are tried in the shells themselves. It
// holds tests only.
package docs
