package cmdline

import "errors"

// alone is for the modes that people call. They take their own flags and no
// others: what would not count is refused.
func (a *asked) alone() (Request, error) {
	own := map[Mode]string{List: "list", Check: "check", Abort: "abort"}[a.Mode]
	for _, name := range a.names {
		if name != own && (name != "json" || a.Mode == Abort) {
			return Request{}, errors.New("--" + own + " cannot be used with --" + name)
		}
	}
	switch {
	case a.Mode == List && len(a.positional) > 0:
		return Request{}, errors.New("--list takes no mountpoint")
	case a.Mode == List, a.Mode == Check && len(a.positional) == 0:
		return a.Request, nil
	}
	return a.wantMountpoint()
}
