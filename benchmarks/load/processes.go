package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// processGroup is a part of the system under load: what its processes use is added up.
type processGroup struct {
	name string
	pids []int
}

// readProcessGroups reads `name=pid+pid,name=pid`.
func readProcessGroups(text string) ([]processGroup, error) {
	var groups []processGroup
	for part := range strings.SplitSeq(text, ",") {
		if part == "" {
			continue
		}
		name, list, _ := strings.Cut(part, "=")
		group := processGroup{name: name}
		for number := range strings.SplitSeq(list, "+") {
			pid, err := strconv.Atoi(number)
			if err != nil || pid < 1 {
				return nil, fmt.Errorf("-pids takes name=pid+pid, not %q", part)
			}
			group.pids = append(group.pids, pid)
		}
		groups = append(groups, group)
	}
	return groups, nil
}

// usage is what a group has used so far.
type usage struct {
	cpu      time.Duration
	resident int64 // bytes
}

func (g processGroup) usage() (usage, error) {
	var sum usage
	for _, pid := range g.pids {
		cpu, err := cpuTime(pid)
		if err != nil {
			return sum, fmt.Errorf("%s (process %d): %w", g.name, pid, err)
		}
		resident, err := residentBytes(pid)
		if err != nil {
			return sum, fmt.Errorf("%s (process %d): %w", g.name, pid, err)
		}
		sum.cpu += cpu
		sum.resident += resident
	}
	return sum, nil
}

func usages(groups []processGroup) ([]usage, error) {
	all := make([]usage, len(groups))
	for i, group := range groups {
		var err error
		if all[i], err = group.usage(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// cpuTime is the CPU time of a process, with that of its ended threads, to the nanosecond.
// (clock_getcpuclockid(3); the number of the clock is the kernel's ABI: ~pid << 3 | CPUCLOCK_SCHED.)
func cpuTime(pid int) (time.Duration, error) {
	const schedulerClock = 2
	var at unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedulerClock), &at); err != nil {
		return 0, err
	}
	return time.Duration(at.Nano()), nil
}

// machineTime is the CPU time that all processes of the machine took, with the kernel's (proc(5), /proc/stat:
// user, nice, system, then idle, iowait, and irq, softirq, in hundredths of a second).
func machineTime() (time.Duration, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	fields := strings.Fields(line)
	if len(fields) < 8 || fields[0] != "cpu" {
		return 0, fmt.Errorf("/proc/stat begins with %q", line)
	}
	var ticks int64
	for _, i := range []int{1, 2, 3, 6, 7} {
		value, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += value
	}
	return time.Duration(ticks) * (time.Second / 100), nil
}

func residentBytes(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(status) {
		if value, found := bytes.CutPrefix(line, []byte("VmRSS:")); found {
			kib, err := strconv.ParseInt(string(bytes.Fields(value)[0]), 10, 64)
			return kib * 1024, err
		}
	}
	return 0, fmt.Errorf("no VmRSS in /proc/%d/status", pid)
}
