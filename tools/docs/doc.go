// Package docs compares the documentation with the programs: each flag and mount option
// stands in --help, in the manual pages and in the completions, and the completions are
// tried in real shells. It contains tests only.
package docs
