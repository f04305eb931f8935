// Package diagnose makes what fusectl prints: facts become findings, and findings and
// mounts become text for a terminal or JSON for a program. It is pure; package collect
// and the client gather the facts.
//
// packaging/schema/fusectl.schema.json describes the JSON, and fusectl(1) what its
// members mean.
package diagnose
