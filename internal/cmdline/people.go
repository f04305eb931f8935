package cmdline

import (
	"errors"

	"github.com/spf13/pflag"
)

// alone is for the modes that people call. They take their own flags and no
// others: what would not count is refused.
func (r Request) alone(flags *pflag.FlagSet) (Request, error) {
	own := map[Mode]string{List: "list", Check: "check", Abort: "abort"}[r.Mode]
	var other string
	flags.Visit(func(f *pflag.Flag) {
		if f.Name != own && (f.Name != "json" || r.Mode == Abort) {
			other = f.Name
		}
	})
	args := flags.Args()
	switch {
	case other != "":
		return Request{}, errors.New("--" + own + " cannot be used with --" + other)
	case r.Mode == List && len(args) > 0:
		return Request{}, errors.New("--list takes no mountpoint")
	case r.Mode == List, r.Mode == Check && len(args) == 0:
		return r, nil
	}
	return r.wantMountpoint(args)
}
