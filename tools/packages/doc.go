// Package packages tests what "make install" installs, and what the packages contain.
package packages
