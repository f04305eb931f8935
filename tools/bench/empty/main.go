// Command empty does nothing: what it costs is the least that a Go program can cost.
package main

func main() {}
