package main

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

const deadline = 10 * time.Second

// serve answers HTTP/2 on a port of its own, with the server of Go's library.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			socket, err := listener.Accept()
			if err != nil {
				return
			}
			go (&http2.Server{}).ServeConn(socket, &http2.ServeConnOpts{Handler: handler})
		}
	}()
	return listener.Addr().String()
}

func connected(t *testing.T, address string) *connection {
	t.Helper()
	c, err := connect(address, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

// recorded is a call that keeps what comes.
type recorded struct {
	began atomic.Bool
	bytes atomic.Int64
	end   chan error
}

func newRecorded() *recorded { return &recorded{end: make(chan error, 1)} }

func (r *recorded) joined() { r.began.Store(true) }

func (r *recorded) received(data []byte, _ time.Time) error {
	r.bytes.Add(int64(len(data)))
	return nil
}

func (r *recorded) ended(err error) { r.end <- err }

func (r *recorded) await(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.end:
		return err
	case <-time.After(deadline):
		t.Fatal("the call did not end")
		return nil
	}
}

func answerWith(status string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusOK)
		w.Header().Set(http.TrailerPrefix+"grpc-status", status)
	}
}

func TestACallEndsWithItsStatus(t *testing.T) {
	fine := newRecorded()
	if err := connected(t, serve(t, answerWith("0"))).open("/a/b", time.Second, nil, fine); err != nil {
		t.Fatal(err)
	}
	if err := fine.await(t); err != nil || !fine.began.Load() {
		t.Errorf("got %v, headers seen: %v", err, fine.began.Load())
	}
	refused := newRecorded()
	if err := connected(t, serve(t, answerWith("8"))).open("/a/b", time.Second, nil, refused); err != nil {
		t.Fatal(err)
	}
	if err := refused.await(t); err == nil || !strings.Contains(err.Error(), `"8"`) {
		t.Errorf("got %v", err)
	}
}

func TestRequestsBeyondTheServersWindowWaitForIt(t *testing.T) {
	var taken atomic.Int64
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		size, _ := io.Copy(io.Discard, r.Body)
		taken.Add(size)
		answerWith("0")(w, r)
	})
	c := connected(t, address)
	const calls, size = 200, 15_000 // far more than the 64 KiB to begin with
	all := newRecorded()
	all.end = make(chan error, calls)
	for range calls {
		if err := c.open("/a/b", 0, make([]byte, size), all); err != nil {
			t.Fatal(err)
		}
	}
	for range calls {
		if err := all.await(t); err != nil {
			t.Fatal(err)
		}
	}
	if want := int64(calls * (size + prefixBytes)); taken.Load() != want {
		t.Errorf("the server took %d bytes of %d", taken.Load(), want)
	}
}

func TestAnAnswerBeyondOurWindowComesWhole(t *testing.T) {
	const size = 5 << 20
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		answerWith("0")(w, r)
		_, _ = w.Write(make([]byte, size))
	})
	c := connected(t, address)
	one := newRecorded()
	if err := c.open("/a/b", 0, nil, one); err != nil {
		t.Fatal(err)
	}
	if err := one.await(t); err != nil || one.bytes.Load() != size {
		t.Errorf("got %d bytes, and %v", one.bytes.Load(), err)
	}
}

func TestCallsEndWithTheirConnection(t *testing.T) {
	address := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c := connected(t, address)
	one := newRecorded()
	if err := c.open("/a/b", 0, nil, one); err != nil {
		t.Fatal(err)
	}
	c.close()
	if err := one.await(t); err == nil {
		t.Error("it ended well")
	}
	if err := c.open("/a/b", 0, nil, newRecorded()); err == nil {
		t.Error("a closed connection takes a call")
	}
}
