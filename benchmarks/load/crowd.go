package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"
)

const (
	joinsAtOnce     = 64
	joinTimeout     = 60 * time.Second
	joinedPause     = time.Second // where headers don't say that a stream has joined
	sendConnections = 2           // to each server: sends do not wait behind deliveries
	complaints      = 5
)

// crowd is everybody: the rooms, the streams, and who sends.
type crowd struct {
	options       options
	run           uint32
	ledgers       []*ledger
	connections   []*connection
	meters        []*meter // by connection
	subscriptions []*subscription
	sender        *sender
	sendOver      []*connection
	ended         atomic.Int64 // streams that the server ended
	leaving       atomic.Bool
	complained    atomic.Int64
}

func gather(o options) (*crowd, error) {
	c := &crowd{options: o, run: rand.Uint32()}
	for i := range o.rooms {
		c.ledgers = append(c.ledgers, &ledger{room: o.room(i)})
	}
	for _, address := range o.sendAddresses {
		for range sendConnections {
			over, err := connect(address, o.probe)
			if err != nil {
				return nil, err
			}
			c.sendOver = append(c.sendOver, over)
		}
	}
	c.sender = newSender(o, c.run, c.sendOver, c.ledgers, c.complain)
	return c, nil
}

func (c *crowd) complain(what string, err error) {
	if c.complained.Add(1) <= complaints && !c.leaving.Load() {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
	}
}

// assemble opens connections and streams until there are this many.
func (c *crowd) assemble(connections, streams int) error {
	if err := c.connectUpTo(connections); err != nil {
		return err
	}
	return c.joinUpTo(streams)
}

// connectUpTo opens connections until there are this many.
func (c *crowd) connectUpTo(count int) error {
	for i := len(c.connections); i < count; i++ {
		over, err := connect(c.options.addresses[i%len(c.options.addresses)], c.options.probe)
		if err != nil {
			return err
		}
		c.connections = append(c.connections, over)
		c.meters = append(c.meters, &meter{})
	}
	return nil
}

// joinUpTo opens streams, a few at a time, until there are this many, and returns when all have joined.
func (c *crowd) joinUpTo(count int) error {
	permits := make(chan struct{}, joinsAtOnce)
	failed := make(chan error, 1)
	timeout := time.After(joinTimeout)
	acquire := func() error {
		select {
		case permits <- struct{}{}:
			return nil
		case err := <-failed:
			return err
		case <-timeout:
			return errors.New("the streams did not all join in time")
		}
	}
	for len(c.subscriptions) < count {
		if err := acquire(); err != nil {
			return err
		}
		c.join(func() { <-permits }, failed)
	}
	for range joinsAtOnce {
		if err := acquire(); err != nil {
			return err
		}
	}
	if !c.options.dialect.headersMeanJoined {
		time.Sleep(joinedPause)
	}
	return nil
}

// join opens the next stream.
func (c *crowd) join(onJoined func(), failed chan<- error) {
	one := c.subscription(len(c.subscriptions))
	one.onJoined = onJoined
	if !c.options.dialect.headersMeanJoined {
		one.onJoined = func() {}
		defer onJoined()
	}
	one.onEnded = func(err error) {
		c.lost(err)
		select {
		case failed <- fmt.Errorf("a stream ended: %w", err):
		default:
		}
	}
	if err := c.open(one, len(c.subscriptions), false); err != nil {
		one.ended(err)
	}
	c.subscriptions = append(c.subscriptions, one)
}

// subscription makes the stream of this number: room after room, and round the connections, so that those who
// read a room are spread as widely as can be.
func (c *crowd) subscription(number int) *subscription {
	to := c.ledgers[number/c.options.streams]
	return &subscription{
		ledger: to,
		meter:  c.meters[number%len(c.meters)],
		run:    runTag(c.run),
		check:  c.options.check,
		seen:   seen{after: to.last()},
	}
}

func (c *crowd) open(one *subscription, number int, fromStart bool) error {
	dialect := c.options.dialect
	over := c.connections[number%len(c.connections)]
	return over.open(dialect.subscribePath, 0, dialect.subscribe(one.ledger.room, fromStart), one)
}

// lost notes that the server ended a stream.
func (c *crowd) lost(err error) {
	if c.leaving.Load() {
		return
	}
	c.ended.Add(1)
	c.complain("stream", err)
}

func (c *crowd) takeCounts() counts {
	var all counts
	for _, meter := range c.meters {
		taken := meter.take()
		all.merge(&taken)
	}
	return all
}

// judge waits until every stream has every acknowledged note, at most for the settle time.
func (c *crowd) judge() verdict {
	const interval = 50 * time.Millisecond
	deadline := time.Now().Add(c.options.settle)
	for {
		var all verdict
		for _, each := range c.subscriptions {
			all = all.plus(each.judge())
		}
		if all.behind == 0 || time.Now().After(deadline) {
			return all
		}
		time.Sleep(interval)
	}
}

func (c *crowd) leave() {
	c.leaving.Store(true)
	for _, each := range append(c.connections, c.sendOver...) {
		each.close()
	}
}
