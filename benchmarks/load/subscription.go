package main

import (
	"errors"
	"sync"
	"time"
)

var errOver = errors.New("the server ended the stream with status OK")

// meter counts what comes in on one connection.
type meter struct {
	mu     sync.Mutex
	counts counts
}

// counts is what came in while it was measured.
type counts struct {
	delivered int64 // notes
	messages  int64 // that had notes in them
	bytes     int64 // of these messages
	delays    histogram
}

func (c *counts) merge(other *counts) {
	c.delivered += other.delivered
	c.messages += other.messages
	c.bytes += other.bytes
	c.delays.merge(&other.delays)
}

// take hands over the counts and begins anew.
func (m *meter) take() counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	taken := m.counts
	m.counts = counts{}
	return taken
}

// subscription is one stream of one room: a call whose answer is counted.
type subscription struct {
	ledger *ledger
	meter  *meter // of its connection; its lock covers what follows
	run    []byte
	check  bool

	split   splitter
	seen    seen
	now     time.Time
	stopped bool

	onJoined func()          // once
	onCount  func(count int) // nil, or told of each new note how many there are now; needs `check`
	onEnded  func(err error) // once
}

func (s *subscription) joined() {
	s.onJoined()
}

func (s *subscription) received(data []byte, now time.Time) error {
	s.meter.mu.Lock()
	defer s.meter.mu.Unlock()
	s.now = now
	return s.split.feed(data, s.message)
}

func (s *subscription) ended(err error) {
	if err == nil {
		err = errOver
	}
	s.meter.mu.Lock()
	s.stopped = true
	s.meter.mu.Unlock()
	s.onEnded(err)
}

// message runs under the meter's lock.
func (s *subscription) message(body []byte) {
	counts := &s.meter.counts
	before := counts.delivered
	now := s.now.UnixNano()
	size := int64(len(body))
	for {
		found, rest := nextMark(body, s.run)
		if rest == nil {
			break
		}
		body = rest
		counts.delivered++
		counts.delays.add(time.Duration(now - found.sentAt))
		if s.check {
			s.note(found.number)
		}
	}
	if counts.delivered > before {
		counts.messages++
		counts.bytes += size
	}
}

func (s *subscription) note(number int) {
	s.seen.add(number)
	if s.onCount != nil {
		s.onCount(s.seen.unique)
	}
}

// judge is the verdict on a stream that the server has kept open; of one that ended there is none.
func (s *subscription) judge() verdict {
	s.meter.mu.Lock()
	defer s.meter.mu.Unlock()
	if s.stopped {
		return verdict{}
	}
	return s.ledger.judge(&s.seen)
}
