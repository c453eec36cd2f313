package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	defaultWindow    = 65_535 // RFC 9113, 6.9.2
	defaultFrameSize = 16_384
	userAgent        = "notecast-load/1"
)

// writer is the sending half of a connection. What is queued while a write is under way goes out in
// the next one, all together.
type writer struct {
	socket    net.Conn
	authority string
	wake      chan struct{}

	mu         sync.Mutex
	queued     bytes.Buffer
	framer     *http2.Framer // writes to `queued`
	block      bytes.Buffer
	encoder    *hpack.Encoder // writes to `block`
	nextID     uint32
	window     int // the connection's, as the server grants it
	callWindow int // of a new stream
	waiting    []waitingData
	closed     bool
}

type waitingData struct {
	id   uint32
	data []byte
}

func newWriter(socket net.Conn, authority string) *writer {
	w := &writer{
		socket:     socket,
		authority:  authority,
		wake:       make(chan struct{}, 1),
		nextID:     1,
		window:     defaultWindow,
		callWindow: defaultWindow,
	}
	w.framer = http2.NewFramer(&w.queued, nil)
	w.encoder = hpack.NewEncoder(&w.block)
	w.queued.WriteString(http2.ClientPreface)
	w.queue(func() error {
		return w.framer.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0})
	})
	go w.run()
	return w
}

// open queues a call. `register` is told its stream before anything of it can be answered.
func (w *writer) open(path string, timeout time.Duration, message []byte, register func(id uint32) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errClosed
	}
	framed := prefixed(message)
	if len(framed) > min(w.callWindow, defaultFrameSize) {
		return fmt.Errorf("a request of %d bytes does not fit the window of a new stream", len(framed))
	}
	id := w.nextID
	w.nextID += 2
	if err := register(id); err != nil {
		return err
	}
	if err := w.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: w.requestHeaders(path, timeout), EndHeaders: true,
	}); err != nil {
		return err
	}
	defer w.notify()
	if len(w.waiting) > 0 || len(framed) > w.window {
		w.waiting = append(w.waiting, waitingData{id, framed})
		return nil
	}
	w.window -= len(framed)
	return w.framer.WriteData(id, true, framed)
}

// requestHeaders are those of gRPC's Go client, in its order; the block is valid until the next.
func (w *writer) requestHeaders(path string, timeout time.Duration) []byte {
	w.block.Reset()
	w.header(":method", "POST")
	w.header(":scheme", "http")
	w.header(":path", path)
	w.header(":authority", w.authority)
	w.header("content-type", "application/grpc")
	w.header("user-agent", userAgent)
	w.header("te", "trailers")
	if timeout > 0 {
		// What is left of it differs from call to call, so the header is a new one each time.
		w.header("grpc-timeout", fmt.Sprintf("%du", timeout.Microseconds()))
	}
	return w.block.Bytes()
}

func (w *writer) header(name, value string) {
	// A bytes.Buffer takes every write.
	_ = w.encoder.WriteField(hpack.HeaderField{Name: name, Value: value})
}

// settings takes over what the server says of itself.
func (w *writer) settings(frame *http2.SettingsFrame) error {
	if frame.IsAck() {
		return nil
	}
	if window, found := frame.Value(http2.SettingInitialWindowSize); found {
		w.mu.Lock()
		w.callWindow = int(window)
		w.mu.Unlock()
	}
	if size, found := frame.Value(http2.SettingHeaderTableSize); found {
		w.mu.Lock()
		w.encoder.SetMaxDynamicTableSizeLimit(size)
		w.mu.Unlock()
	}
	w.queue(func() error { return w.framer.WriteSettingsAck() })
	return nil
}

func (w *writer) acknowledgePing(data [8]byte) {
	w.queue(func() error { return w.framer.WritePing(true, data) })
}

// grow is a WINDOW_UPDATE of the connection: requests that waited for it go out.
func (w *writer) grow(bytes int) {
	w.queue(func() error {
		w.window += bytes
		for len(w.waiting) > 0 && len(w.waiting[0].data) <= w.window {
			next := w.waiting[0]
			w.waiting = w.waiting[1:]
			w.window -= len(next.data)
			if err := w.framer.WriteData(next.id, true, next.data); err != nil {
				return err
			}
		}
		return nil
	})
}

// queue runs what writes frames. They go to a buffer, so that a fault is one of this program.
func (w *writer) queue(write func() error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := write(); err != nil {
		panic(err)
	}
	w.notify()
}

func (w *writer) notify() {
	select {
	case w.wake <- struct{}{}:
	default: // it is awake already
	}
}

func (w *writer) run() {
	var batch bytes.Buffer
	for range w.wake {
		batch.Reset()
		w.mu.Lock()
		_, _ = w.queued.WriteTo(&batch)
		closed := w.closed
		w.mu.Unlock()
		if closed {
			return
		}
		if _, err := w.socket.Write(batch.Bytes()); err != nil && !errors.Is(err, net.ErrClosed) {
			_ = w.socket.Close() // the reading half finds it and says why
			return
		}
	}
}

func (w *writer) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.notify()
}
