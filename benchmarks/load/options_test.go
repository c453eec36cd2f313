package main

import "testing"

func TestOnlyThisMachineIsPutUnderLoad(t *testing.T) {
	for _, address := range []string{"127.0.0.1:1", "localhost:1", "[::1]:1"} {
		if _, err := readOptions([]string{"-addr", address}); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"192.0.2.1:1", "example.org:1", "127.0.0.1:1,192.0.2.1:1"} {
		if _, err := readOptions([]string{"-addr", address}); err == nil {
			t.Errorf("%s is taken", address)
		}
	}
}

func TestProcessesAreReadByPart(t *testing.T) {
	groups, err := readProcessGroups("gateway=1+2,redis=3")
	if err != nil || len(groups) != 2 || groups[0].name != "gateway" || len(groups[0].pids) != 2 || groups[1].pids[0] != 3 {
		t.Errorf("got %v, %v", groups, err)
	}
	for _, text := range []string{"gateway", "gateway=x", "gateway=0"} {
		if _, err := readProcessGroups(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
