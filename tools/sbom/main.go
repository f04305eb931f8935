// Command sbom makes one bill of materials of the programs of an architecture:
//
//	sbom OUT BOM...
//
// from those of cyclonedx-gomod for each program. It adds the licences, which that tool cannot
// read from a program, or guesses wrongly; a module whose licence is not known here is an error.
package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

const project = "github.com/go-fusermount/fusermount"

// licences are SPDX identifiers by module. packaging/debian/copyright has the texts.
var licences = map[string]string{
	project:                  "BSD-3-Clause",
	"std":                    "BSD-3-Clause",
	"golang.org/x/sys":       "BSD-3-Clause",
	"github.com/spf13/pflag": "BSD-3-Clause",
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: sbom OUT BOM...")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(out string, files []string) error {
	var boms []*cdx.BOM
	for _, file := range files {
		bom, err := read(file)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		boms = append(boms, bom)
	}
	merged, err := merge(boms)
	if err != nil {
		return err
	}
	return write(out, merged)
}

func read(file string) (*cdx.BOM, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	bom := new(cdx.BOM)
	if err := cdx.NewBOMDecoder(f, cdx.BOMFileFormatJSON).Decode(bom); err != nil {
		return nil, err
	}
	if bom.Metadata == nil || bom.Metadata.Component == nil || bom.Components == nil || bom.Dependencies == nil {
		return nil, errors.New("it names no program or no modules")
	}
	return bom, nil
}

// merge makes the programs components of the release. Each file's hash is the program's.
func merge(boms []*cdx.BOM) (*cdx.BOM, error) {
	release := &cdx.Component{
		BOMRef: project, Type: cdx.ComponentTypeApplication, Name: "go-fusermount",
		Version: boms[0].Metadata.Component.Version,
	}
	if err := license(release, project); err != nil {
		return nil, err
	}
	merged := cdx.NewBOM()
	merged.Metadata = &cdx.Metadata{Component: release}
	components := map[string]cdx.Component{}
	dependencies := map[string]cdx.Dependency{}
	var programs []string
	for _, bom := range boms {
		program := *bom.Metadata.Component
		if program.Hashes = hashes(bom.Metadata.Properties); program.Hashes == nil {
			return nil, fmt.Errorf("no hash of %s", program.BOMRef)
		}
		if err := license(&program, program.Name); err != nil {
			return nil, err
		}
		program.Name = program.BOMRef[strings.LastIndex(program.BOMRef, "/")+1:]
		programs = append(programs, program.BOMRef)
		components[program.BOMRef] = program
		for _, c := range *bom.Components {
			if err := license(&c, c.Name); err != nil {
				return nil, err
			}
			components[c.BOMRef] = c
		}
		for _, d := range *bom.Dependencies {
			dependencies[d.Ref] = d
		}
	}
	dependencies[project] = cdx.Dependency{Ref: project, Dependencies: &programs}
	merged.Components = sorted(components, func(c cdx.Component) string { return c.BOMRef })
	merged.Dependencies = sorted(dependencies, func(d cdx.Dependency) string { return d.Ref })
	return merged, nil
}

func license(c *cdx.Component, module string) error {
	id, ok := licences[module]
	if !ok {
		return fmt.Errorf("the licence of %s is not known: add it to packaging/copyright.sh and here", module)
	}
	c.Licenses = &cdx.Licenses{{License: &cdx.License{ID: id}}}
	return nil
}

// hashes takes the SHA-256 of a program from its properties.
func hashes(properties *[]cdx.Property) *[]cdx.Hash {
	if properties != nil {
		for _, p := range *properties {
			if strings.HasSuffix(p.Name, "binary:hash:SHA-256") {
				return &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: p.Value}}
			}
		}
	}
	return nil
}

func sorted[T any](all map[string]T, key func(T) string) *[]T {
	var list []T
	for _, v := range all {
		list = append(list, v)
	}
	slices.SortFunc(list, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
	return &list
}

func write(file string, bom *cdx.BOM) (err error) {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return cdx.NewBOMEncoder(f, cdx.BOMFileFormatJSON).SetPretty(true).Encode(bom)
}
