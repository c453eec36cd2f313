package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestMessagesComeWholeHoweverTheirBytesAreCut(t *testing.T) {
	wanted := [][]byte{[]byte("one"), {}, []byte(strings.Repeat("long", 100)), []byte("four")}
	var all []byte
	for _, message := range wanted {
		all = append(all, prefixed(message)...)
	}
	for size := 1; size <= len(all); size++ {
		var s splitter
		var got [][]byte
		for rest := all; len(rest) > 0; {
			part := min(size, len(rest))
			if err := s.feed(rest[:part], func(message []byte) { got = append(got, bytes.Clone(message)) }); err != nil {
				t.Fatal(err)
			}
			rest = rest[part:]
		}
		if len(got) != len(wanted) {
			t.Fatalf("in parts of %d bytes there are %d messages", size, len(got))
		}
		for i := range got {
			if !bytes.Equal(got[i], wanted[i]) {
				t.Fatalf("in parts of %d bytes, message %d is %q", size, i, got[i])
			}
		}
	}
}

func TestACompressedMessageIsRefused(t *testing.T) {
	var s splitter
	err := s.feed([]byte{1, 0, 0, 0, 0}, func([]byte) { t.Error("it was taken") })
	if !errors.Is(err, errCompressed) {
		t.Errorf("got %v", err)
	}
}

func TestNotesAreFoundInAnythingThatCarriesThem(t *testing.T) {
	const run = 0xabc
	body := "front" + markedText(1_700_000_000_123_456_789, 7, run, 100) + "between" +
		markedText(1, 8, run+1, 64) + markedText(2, 9, run, 64)
	first, rest := nextMark([]byte(body), runTag(run))
	if first != (mark{1_700_000_000_123_456_789, 7}) {
		t.Errorf("got %v", first)
	}
	second, rest := nextMark(rest, runTag(run))
	if second != (mark{2, 9}) {
		t.Errorf("got %v, where the note of another run is passed over", second)
	}
	if _, rest = nextMark(rest, runTag(run)); rest != nil {
		t.Error("there is a third")
	}
}

func TestATextIsAsLongAsAsked(t *testing.T) {
	for _, size := range []int{minNoteBytes, 100, maxNoteBytes} {
		if got := len(markedText(time.Now().UnixNano(), 1, 2, size)); got != size {
			t.Errorf("%d bytes instead of %d", got, size)
		}
	}
}

// BenchmarkDelivery is what a delivery costs the load itself, apart from reading it off the socket.
func BenchmarkDelivery(b *testing.B) {
	one := &subscription{meter: &meter{}, run: runTag(1), check: true}
	now := time.Now()
	body := prefixed(notecast.send("room", markedText(now.UnixNano(), 1, 1, 100)))
	for b.Loop() {
		if err := one.received(body, now); err != nil {
			b.Fatal(err)
		}
	}
}
