package mountopts

import (
	"errors"
	"slices"
	"strings"
)

// UnknownError names an option that the helper does not know.
type UnknownError struct{ Option string }

func (e *UnknownError) Error() string { return "unknown option '" + e.Option + "'" }

// ValueError names an option whose value cannot be used.
type ValueError struct {
	Option string // the whole element, as given
	Cause  error
}

func (e *ValueError) Error() string { return "invalid option '" + e.Option + "': " + e.Cause.Error() }

func (e *ValueError) Unwrap() error { return e.Cause }

var (
	errEmptyValue = errors.New("it needs a value")
	errNotDecimal = errors.New("the value must be a decimal number up to 4294967295")
)

// Parse reads comma-separated option lists, one after the other: each ends where it ends,
// also after a backslash. Of contradicting options the last wins; empty elements are
// skipped. The error is an *UnknownError or a *ValueError.
func Parse(lists ...string) (Options, error) {
	var o Options
	for _, rest := range lists {
		for rest != "" {
			var e element
			e, rest = next(rest)
			if err := o.apply(e); err != nil {
				return Options{}, err
			}
		}
	}
	return o, nil
}

// element is one option as it stood in the list, and its parts.
type element struct {
	raw      string // as given
	name     string
	value    string // unescaped where the option knows escapes
	hasValue bool
}

func (o *Options) apply(e element) (err error) {
	found := false
	switch {
	case e.raw == "":
		return nil
	case strings.HasPrefix(e.raw, "x-"):
		o.Userspace = append(o.Userspace, e.raw)
		return nil
	case e.hasValue:
		for _, v := range Values {
			if v.Name != e.name {
				continue
			}
			found = true
			switch {
			case v.Text != nil && e.value == "":
				err = errEmptyValue
			case v.Text != nil:
				*v.Text(o) = e.value
			case v.Number != nil:
				*v.Number(o), err = parseNumber(e.value)
			}
		}
	case slices.Contains(Obsolete, e.name):
		o.Obsolete = append(o.Obsolete, e.name)
		return nil
	default:
		found = slices.Contains(Ignored, e.name)
		for _, f := range Flags {
			if f.On == e.name || f.Off == e.name {
				found, *f.Field(o) = true, f.On == e.name
			}
		}
	}
	switch {
	case err != nil:
		return &ValueError{Option: e.raw, Cause: err}
	case !found:
		return &UnknownError{Option: e.raw}
	}
	return nil
}

// next splits the first element off list. Only fsname= and subtype= know escapes:
// everywhere else a comma always separates, so that an escaped comma can never carry an
// option past the check (CVE-2018-10906).
func next(list string) (e element, rest string) {
	name, value, hasValue := list, "", false
	end := strings.IndexByte(list, ',')
	if end < 0 {
		end = len(list)
	}
	if eq := strings.IndexByte(list[:end], '='); eq >= 0 {
		name, hasValue = list[:eq], true
		if name == "fsname" || name == "subtype" {
			var used int
			value, used = unescape(list[eq+1:])
			end = eq + 1 + used
		} else {
			value = list[eq+1 : end]
		}
	} else {
		name = list[:end]
	}
	e = element{raw: list[:end], name: name, value: value, hasValue: hasValue}
	if end < len(list) {
		end++ // the comma
	}
	return e, list[end:]
}

// unescape reads s up to the first comma that no backslash makes literal, and says how
// many bytes that took. A backslash at the very end stands for itself.
func unescape(s string) (value string, used int) {
	var b strings.Builder
	for used < len(s) && s[used] != ',' {
		if s[used] == '\\' && used+1 < len(s) {
			used++
		}
		b.WriteByte(s[used])
		used++
	}
	return b.String(), used
}

// parseNumber takes decimal digits only: the kernel would read a leading 0 as octal, and
// strconv would allow a sign.
func parseNumber(v string) (Number, error) {
	if v == "" {
		return Number{}, errEmptyValue
	}
	var n uint64
	for i := range len(v) {
		if v[i] < '0' || v[i] > '9' {
			return Number{}, errNotDecimal
		}
		if n = n*10 + uint64(v[i]-'0'); n > 1<<32-1 {
			return Number{}, errNotDecimal
		}
	}
	return Number{Given: true, Value: uint32(n)}, nil
}
