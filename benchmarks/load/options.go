package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// Modes.
const (
	steady = "steady"
	idle   = "idle"
	storm  = "storm"
)

const (
	minNoteBytes = 64
	maxNoteBytes = 16_000
)

// options is what one run of the program does.
type options struct {
	mode          string
	dialect       dialect
	addresses     []string // streams are spread over them
	sendAddresses []string
	rooms         int
	streams       int // in each room
	connections   int // shared by all streams
	rate          float64
	inFlight      int
	size          int // bytes of a note's text
	warm          time.Duration
	duration      time.Duration
	settle        time.Duration
	notes         int // in the room that a storm joins
	check         bool
	probe         bool
	prefix        string
	processes     []processGroup
}

func readOptions(arguments []string) (options, error) {
	var o options
	var dialectName, addresses, sendAddresses, pids string
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.StringVar(&o.mode, "mode", steady, "steady | idle | storm")
	flags.StringVar(&dialectName, "dialect", "notecast", "notecast (notecast.v1) | tutorial (grpc.ChatServer)")
	flags.StringVar(&addresses, "addr", "127.0.0.1:50051", "servers for streams, host:port, comma separated; loopback")
	flags.StringVar(&sendAddresses, "send-addr", "", "servers for sends (as -addr)")
	flags.IntVar(&o.rooms, "rooms", 1, "rooms")
	flags.IntVar(&o.streams, "streams", 100, "streams in each room")
	flags.IntVar(&o.connections, "conns", 20, "connections shared by the streams")
	flags.Float64Var(&o.rate, "rate", 100, "notes sent a second, over all rooms")
	flags.IntVar(&o.inFlight, "inflight", 200, "most sends without an answer")
	flags.IntVar(&o.size, "size", 100, "bytes of text in a note")
	flags.DurationVar(&o.warm, "warm", 3*time.Second, "sends before the measuring")
	flags.DurationVar(&o.duration, "duration", 8*time.Second, "what is measured; of a storm, how long it may take")
	flags.DurationVar(&o.settle, "settle", 3*time.Second, "wait for notes still on their way, at most")
	flags.IntVar(&o.notes, "notes", 1_000, "storm: notes in the room that is joined")
	flags.BoolVar(&o.check, "check", false, "count the notes that were lost or repeated")
	flags.BoolVar(&o.probe, "probe", true, "probe the bandwidth with PINGs and grow windows, as gRPC's own clients do")
	flags.StringVar(&o.prefix, "prefix", "", "begins the names of rooms (default: one of this run's own)")
	flags.StringVar(&pids, "pids", "", "name=pid[+pid],... whose CPU time and memory are measured")
	if err := flags.Parse(arguments); err != nil {
		return o, err
	}
	if o.prefix == "" {
		o.prefix = "load-" + strconv.FormatInt(time.Now().UnixNano(), 36) + "-"
	}
	if sendAddresses == "" {
		sendAddresses = addresses
	}
	o.addresses = strings.Split(addresses, ",")
	o.sendAddresses = strings.Split(sendAddresses, ",")
	var err error
	if o.dialect, err = dialectNamed(dialectName); err != nil {
		return o, err
	}
	if o.processes, err = readProcessGroups(pids); err != nil {
		return o, err
	}
	return o, o.validate()
}

func (o options) validate() error {
	for _, address := range append(o.addresses, o.sendAddresses...) {
		if err := onLoopback(address); err != nil {
			return err
		}
	}
	switch {
	case o.mode != steady && o.mode != idle && o.mode != storm:
		return fmt.Errorf("-mode is %s, %s or %s, not %q", steady, idle, storm, o.mode)
	case o.rooms < 1 || o.streams < 1 || o.connections < 1 || o.inFlight < 1 || o.notes < 1:
		return errors.New("-rooms, -streams, -conns, -inflight and -notes are at least 1")
	case o.rate <= 0:
		return errors.New("-rate is more than 0")
	case o.size < minNoteBytes || o.size > maxNoteBytes:
		return fmt.Errorf("-size is %d to %d bytes", minNoteBytes, maxNoteBytes)
	case o.mode == storm && o.rooms != 1:
		return errors.New("a storm has one room")
	}
	return o.dialect.validate(o)
}

// onLoopback refuses servers elsewhere: this program can do them harm.
func onLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if host == "localhost" {
		return nil
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("%s is not on this machine's loopback, the only place for such a load", address)
	}
	return nil
}

func (o options) room(number int) string {
	return o.dialect.room(o.prefix, number)
}
