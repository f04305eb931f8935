package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-fusermount/fusermount/internal/service"
)

// grant is what the administrator lets pods have at most.
type grant struct {
	MountMax     int                // file systems of one volume at a time
	MountDefault int                // of a volume that does not ask
	AllowOther   service.AllowOther // who may have it, if they ask
	Types        []string           // subtypes that may be mounted; empty: all
	VolumeMode   bool
}

// attributes are what a pod asks for in volumeAttributes.
type attributes struct {
	Mode       string   `json:"mode"`
	MountMax   int      `json:"mountMax"`
	AllowOther bool     `json:"allowOther"`
	Types      []string `json:"fsTypes,omitempty"`
}

// The values of the attribute mode.
const (
	modeSocket = "socket" // pods mount for themselves
	modeVolume = "volume" // one container mounts for all of its pod
)

// owner is the pod that a volume belongs to, as the kubelet tells it.
type owner struct {
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	UID       string `json:"uid"`
}

// kubeletPrefix begins the attributes that the kubelet adds (podInfoOnMount in CSIDriver).
const kubeletPrefix = "csi.storage.k8s.io/"

// parseAttributes reads the volume context of a request. It refuses what it does not know, and what
// the administrator has not granted.
func parseAttributes(context map[string]string, g grant) (a attributes, o owner, err error) {
	a = attributes{Mode: modeSocket, MountMax: min(g.MountDefault, g.MountMax), Types: g.Types}
	for _, name := range slices.Sorted(maps.Keys(context)) {
		value := context[name]
		switch name {
		case kubeletPrefix + "pod.namespace":
			o.Namespace = value
		case kubeletPrefix + "pod.name":
			o.Pod = value
		case kubeletPrefix + "pod.uid":
			o.UID = value
		case kubeletPrefix + "ephemeral":
			if value != "true" {
				return a, o, errors.New("the driver has ephemeral inline volumes only, no persistent ones")
			}
		case "mode":
			a.Mode = value
		case "mountMax":
			a.MountMax, err = strconv.Atoi(value)
		case "allowOther":
			a.AllowOther, err = parseBool(value)
		case "fsTypes":
			a.Types, err = parseTypes(value, g.Types)
		default:
			if !strings.HasPrefix(name, kubeletPrefix) { // a newer kubelet may tell more
				return a, o, fmt.Errorf("unknown attribute %q: known are allowOther, fsTypes, mode, mountMax", name)
			}
		}
		if err != nil {
			return a, o, fmt.Errorf("attribute %s: %q: %w", name, value, err)
		}
	}
	switch {
	case a.Mode != modeSocket && a.Mode != modeVolume:
		err = fmt.Errorf("attribute mode: %q is neither %s nor %s", a.Mode, modeSocket, modeVolume)
	case a.Mode == modeVolume && !g.VolumeMode:
		err = fmt.Errorf("attribute mode: %s is not granted here (--volume-mode)", modeVolume)
	case a.MountMax < 1 || a.MountMax > g.MountMax:
		err = fmt.Errorf("attribute mountMax: %d is not between 1 and %d (--mount-max)", a.MountMax, g.MountMax)
	case a.AllowOther && g.AllowOther == service.AllowOtherNever:
		err = errors.New("attribute allowOther: it is not granted here (--allow-other)")
	}
	return a, o, err
}

func parseBool(value string) (bool, error) {
	if value != "true" && value != "false" {
		return false, errors.New("neither true nor false")
	}
	return value == "true", nil
}

// parseTypes reads names with commas between, which are all granted.
func parseTypes(value string, granted []string) ([]string, error) {
	types := strings.Split(value, ",")
	if len(value) > 1000 {
		return nil, errors.New("longer than 1000 bytes")
	}
	for i, name := range types {
		types[i] = strings.TrimSpace(name)
		switch {
		case types[i] == "":
			return nil, errors.New("an empty name")
		case len(granted) > 0 && !slices.Contains(granted, types[i]):
			return nil, fmt.Errorf("%s is not granted here (--fs-types)", types[i])
		}
	}
	return types, nil
}

// terms are what the clients of a volume's socket get.
func (a attributes) terms(g grant, volume int) *service.Terms {
	t := &service.Terms{MountMax: a.MountMax, Types: a.Types, Volume: volume}
	if a.AllowOther {
		t.AllowOther = g.AllowOther
	}
	return t
}
