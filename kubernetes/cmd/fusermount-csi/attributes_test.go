package main

import (
	"reflect"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount/internal/service"
)

var generous = grant{MountMax: 100, MountDefault: 10, AllowOther: service.AllowOtherInUserNamespace, VolumeMode: true}

func TestAttributes(t *testing.T) {
	for name, c := range map[string]struct {
		context map[string]string
		want    attributes
	}{
		"nothing": {nil, attributes{Mode: modeSocket, MountMax: 10}},
		"everything": {
			map[string]string{"mode": "volume", "mountMax": "100", "allowOther": "true", "fsTypes": "sshfs, rclone"},
			attributes{Mode: modeVolume, MountMax: 100, AllowOther: true, Types: []string{"sshfs", "rclone"}},
		},
		"the kubelet's": {
			map[string]string{kubeletPrefix + "ephemeral": "true", kubeletPrefix + "serviceAccount.tokens": "{}", "allowOther": "false"},
			attributes{Mode: modeSocket, MountMax: 10},
		},
	} {
		got, _, err := parseAttributes(c.context, generous)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestAttributesOwner(t *testing.T) {
	context := map[string]string{kubeletPrefix + "pod.name": "p", kubeletPrefix + "pod.namespace": "n", kubeletPrefix + "pod.uid": "u"}
	if _, got, err := parseAttributes(context, generous); err != nil || got != (owner{Namespace: "n", Pod: "p", UID: "u"}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAttributesRefused(t *testing.T) {
	strict := grant{MountMax: 5, MountDefault: 10, Types: []string{"sshfs"}}
	for _, c := range []struct {
		name, value string
		g           grant
		want        string
	}{
		{"mountmax", "1", generous, `unknown attribute "mountmax"`},
		{"", "", generous, "unknown attribute"},
		{"mountMax", "0", generous, "between 1 and 100"},
		{"mountMax", "-1", generous, "between 1 and 100"},
		{"mountMax", "101", generous, "between 1 and 100"},
		{"mountMax", "99999999999999999999", generous, "out of range"},
		{"mountMax", "ten", generous, "invalid syntax"},
		{"mountMax", "6", strict, "between 1 and 5"},
		{"mode", "Volume", generous, "neither socket nor volume"},
		{"mode", "", generous, "neither socket nor volume"},
		{"mode", "volume", strict, "--volume-mode"},
		{"allowOther", "yes", generous, "neither true nor false"},
		{"allowOther", "true", strict, "--allow-other"},
		{"fsTypes", "", generous, "empty name"},
		{"fsTypes", "sshfs,", generous, "empty name"},
		{"fsTypes", strings.Repeat("a", 1001), generous, "longer than"},
		{"fsTypes", "rclone", strict, "rclone is not granted"},
		{kubeletPrefix + "ephemeral", "false", generous, "no persistent ones"},
	} {
		_, _, err := parseAttributes(map[string]string{c.name: c.value}, c.g)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s=%s: %v", c.name, c.value, err)
		}
	}
}

// What a pod does not ask for is within what is granted, too.
func TestAttributesDefaults(t *testing.T) {
	got, _, err := parseAttributes(nil, grant{MountMax: 5, MountDefault: 10, Types: []string{"sshfs"}})
	if err != nil || got.MountMax != 5 || len(got.Types) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if terms := got.terms(grant{AllowOther: service.AllowOtherAlways}, -1); terms.AllowOther != service.AllowOtherNever {
		t.Error("allow_other for a pod that has not asked")
	}
}
