package main

import (
	"os"
	"time"
)

// report is what the program prints, as JSON. Durations are in milliseconds unless named otherwise.
type report struct {
	Mode        string  `json:"mode"`
	Rooms       int     `json:"rooms"`
	Streams     int     `json:"streams"`
	Connections int     `json:"connections"`
	Rate        float64 `json:"rate"`
	Seconds     float64 `json:"seconds"` // measured

	Sent      int64 `json:"sent"` // acknowledged
	Failed    int64 `json:"failed"`
	Blocked   int64 `json:"blocked"`
	Delivered int64 `json:"delivered"`
	Messages  int64 `json:"messages"`
	Bytes     int64 `json:"bytes"`
	Ended     int64 `json:"ended"` // streams that the server ended

	Checked  bool `json:"checked"`
	Lost     int  `json:"lost"`
	Repeated int  `json:"repeated"`
	Behind   int  `json:"behind"` // acknowledged, and not delivered within the settle time

	Delay  spread `json:"delay_ms"`  // from send to delivery
	Answer spread `json:"answer_ms"` // from send to acknowledgement
	Late   spread `json:"late_ms"`   // from due to sent
	Join   spread `json:"join_ms"`   // of a storm: until a stream has every note of its room

	LoadCPU    float64        `json:"load_cpu_seconds"`
	MachineCPU float64        `json:"machine_cpu_seconds"` // of everything that ran
	Processes  []processUsage `json:"processes"`
}

type spread struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

type processUsage struct {
	Name           string  `json:"name"`
	CPU            float64 `json:"cpu_seconds"`
	ResidentBefore int64   `json:"resident_before_bytes"`
	ResidentAfter  int64   `json:"resident_after_bytes"`
}

func newReport(o options) *report {
	return &report{
		Mode:        o.mode,
		Rooms:       o.rooms,
		Streams:     o.rooms * o.streams,
		Connections: o.connections,
		Rate:        o.rate,
		Checked:     o.check,
	}
}

func (r *report) deliveries(c counts) {
	r.Delivered = c.delivered
	r.Messages = c.messages
	r.Bytes = c.bytes
	r.Delay = spreadOf(&c.delays)
}

func (r *report) sends(s sendStats) {
	r.Sent = s.acknowledged
	r.Failed = s.failed
	r.Blocked = s.blocked
	r.Answer = spreadOf(&s.answers)
	r.Late = spreadOf(&s.late)
}

func (r *report) verdict(v verdict) {
	r.Lost, r.Repeated, r.Behind = v.lost, v.repeated, v.behind
}

func spreadOf(h *histogram) spread {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
	return spread{ms(h.quantile(0.5)), ms(h.quantile(0.99)), ms(h.max)}
}

// snapshot is what everybody had used at one moment.
type snapshot struct {
	at        time.Time
	own       time.Duration
	machine   time.Duration
	processes []usage
}

func snapshotOf(groups []processGroup) (snapshot, error) {
	all, err := usages(groups)
	if err != nil {
		return snapshot{}, err
	}
	own, err := cpuTime(os.Getpid())
	if err != nil {
		return snapshot{}, err
	}
	machine, err := machineTime()
	return snapshot{time.Now(), own, machine, all}, err
}

func (r *report) between(groups []processGroup, from, to snapshot) {
	r.Seconds = to.at.Sub(from.at).Seconds()
	r.LoadCPU = (to.own - from.own).Seconds()
	r.MachineCPU = (to.machine - from.machine).Seconds()
	for i, group := range groups {
		r.Processes = append(r.Processes, processUsage{
			Name:           group.name,
			CPU:            (to.processes[i].cpu - from.processes[i].cpu).Seconds(),
			ResidentBefore: from.processes[i].resident,
			ResidentAfter:  to.processes[i].resident,
		})
	}
}
