package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	dialTimeout       = 10 * time.Second
	readBufferBytes   = 32 << 10
	maxHeaderListSize = 1 << 20
)

var errClosed = errors.New("the connection was closed")

// call is the client's side of one gRPC call. All its methods run on the connection's
// reading goroutine, one after another.
type call interface {
	// joined says that the headers came.
	joined()
	// received gets a part of the answer; it must not keep it.
	received(data []byte, now time.Time) error
	// ended comes last: nil, or the status or fault that ended the call.
	ended(err error)
}

// connection is an HTTP/2 client connection (RFC 9113), which does what a gRPC call needs and no
// more, so that a delivery costs the load far less than the server.
// One goroutine reads; whoever opens calls fills a buffer that a second one writes.
type connection struct {
	socket  net.Conn
	writer  *writer
	windows *windows

	mu    sync.Mutex
	calls map[uint32]*openCall
	fault error // what ended the connection
}

type openCall struct {
	call
	unread int // bytes received that the stream's window has not been given back
	began  bool
}

func connect(address string, probe bool) (*connection, error) {
	socket, err := net.DialTimeout("tcp", address, dialTimeout)
	if err != nil {
		return nil, err
	}
	c := &connection{socket: socket, calls: map[uint32]*openCall{}}
	c.writer = newWriter(socket, address)
	c.windows = newWindows(c.writer, probe)
	go c.read()
	return c, nil
}

// open begins a call with its only request message, and half-closes it.
func (c *connection) open(path string, timeout time.Duration, message []byte, handler call) error {
	return c.writer.open(path, timeout, message, func(id uint32) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.fault != nil {
			return c.fault
		}
		c.calls[id] = &openCall{call: handler}
		return nil
	})
}

// close ends the connection and every call on it.
func (c *connection) close() {
	c.end(errClosed)
}

func (c *connection) end(fault error) {
	c.mu.Lock()
	if c.fault != nil {
		c.mu.Unlock()
		return
	}
	c.fault = fault
	calls := c.calls
	c.calls = nil
	c.mu.Unlock()
	c.writer.close()
	_ = c.socket.Close() // nothing is lost that somebody waits for
	for _, open := range calls {
		open.ended(fault)
	}
}

func (c *connection) read() {
	framer := http2.NewFramer(nil, bufio.NewReaderSize(c.socket, readBufferBytes))
	framer.SetReuseFrames()
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	framer.MaxHeaderListSize = maxHeaderListSize
	for {
		frame, err := framer.ReadFrame()
		if err == nil {
			err = c.handle(frame)
		}
		if err != nil {
			c.end(err)
			return
		}
	}
}

func (c *connection) handle(frame http2.Frame) error {
	switch frame := frame.(type) {
	case *http2.DataFrame:
		return c.data(frame)
	case *http2.MetaHeadersFrame:
		c.headers(frame)
	case *http2.SettingsFrame:
		return c.writer.settings(frame)
	case *http2.PingFrame:
		if frame.IsAck() {
			c.windows.probed()
		} else {
			c.writer.acknowledgePing(frame.Data)
		}
	case *http2.WindowUpdateFrame:
		if frame.StreamID == 0 {
			c.writer.grow(int(frame.Increment))
		}
	case *http2.RSTStreamFrame:
		c.finish(frame.StreamID, fmt.Errorf("the server reset the stream: %v", frame.ErrCode))
	case *http2.GoAwayFrame:
		return fmt.Errorf("the server sent GOAWAY: %v %q", frame.ErrCode, frame.DebugData())
	}
	return nil
}

func (c *connection) data(frame *http2.DataFrame) error {
	size := int(frame.Length)
	c.windows.received(size)
	open := c.find(frame.StreamID)
	if open == nil {
		return nil
	}
	if err := open.received(frame.Data(), time.Now()); err != nil {
		return err
	}
	if frame.StreamEnded() {
		c.finish(frame.StreamID, errors.New("the call ended without a status"))
		return nil
	}
	open.unread = c.windows.consumed(frame.StreamID, open.unread+size)
	return nil
}

func (c *connection) headers(frame *http2.MetaHeadersFrame) {
	open := c.find(frame.StreamID)
	if open == nil {
		return
	}
	if frame.StreamEnded() {
		c.finish(frame.StreamID, statusOf(frame))
		return
	}
	if !open.began {
		open.began = true
		open.joined()
	}
}

func (c *connection) find(id uint32) *openCall {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[id]
}

func (c *connection) finish(id uint32, err error) {
	c.mu.Lock()
	open := c.calls[id]
	delete(c.calls, id)
	c.mu.Unlock()
	if open != nil {
		open.ended(err)
	}
}

// statusOf reads trailers: nil for grpc-status 0.
func statusOf(frame *http2.MetaHeadersFrame) error {
	status, message := "", ""
	for _, field := range frame.Fields {
		switch field.Name {
		case "grpc-status":
			status = field.Value
		case "grpc-message":
			message = field.Value
		}
	}
	if status == "0" {
		return nil
	}
	return fmt.Errorf("grpc-status %q: %s (HTTP status %s)", status, message, frame.PseudoValue("status"))
}
