package main

import (
	"golang.org/x/net/http2"
)

const maxWindow = 16 << 20

var probeData = [8]byte{'n', 'o', 't', 'e', 'c', 'a', 's', 't'}

// windows is how much the server may send: the receiving half's flow control.
//
// Credit is given back once a quarter of a window is used. With `probe` on, a PING goes out
// with the first data after the answer to the one before; where more than two thirds of a window came in between, the
// window doubles. gRPC's clients in Go, C++ (so Python) and Java all do this (the estimate of bandwidth times delay),
// and answering costs the server something: a load without it would flatter servers
// that write often.
type windows struct {
	writer  *writer
	probe   bool
	window  int // of the connection and of each stream
	unread  int // received, and not given back to the connection's window
	probing bool
	sample  int // received since the probe
}

func newWindows(w *writer, probe bool) *windows {
	return &windows{writer: w, probe: probe, window: defaultWindow}
}

// received counts a frame's bytes for the connection.
func (w *windows) received(size int) {
	w.unread += size
	w.sample += size
	begins := w.probe && !w.probing
	if !begins && w.unread < w.window/4 {
		return
	}
	credit := w.unread
	w.unread = 0
	if begins {
		w.probing = true
		w.sample = size
	}
	w.writer.queue(func() error {
		framer := w.writer.framer
		if credit > 0 {
			if err := framer.WriteWindowUpdate(0, uint32(credit)); err != nil {
				return err
			}
		}
		if begins {
			return framer.WritePing(false, probeData)
		}
		return nil
	})
}

// consumed gives a stream's window back when that is due; it returns what is still to be given.
func (w *windows) consumed(stream uint32, unread int) int {
	if unread < w.window/4 {
		return unread
	}
	w.writer.queue(func() error { return w.writer.framer.WriteWindowUpdate(stream, uint32(unread)) })
	return 0
}

// probed is the answer to the probe.
func (w *windows) probed() {
	w.probing = false
	if w.sample < w.window*2/3 || w.window == maxWindow {
		return
	}
	grown := min(2*w.sample, maxWindow)
	more := grown - w.window
	w.window = grown
	w.writer.queue(func() error {
		if err := w.writer.framer.WriteWindowUpdate(0, uint32(more)); err != nil {
			return err
		}
		return w.writer.framer.WriteSettings(
			http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(grown)})
	})
}
