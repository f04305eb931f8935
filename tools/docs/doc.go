// Package docs compares the documentation and the shell completions with the program:
// each flag and mount option is in --help, in the manual pages and in the completions,
// and the completions are tried in the shells. It has only tests.
package docs
