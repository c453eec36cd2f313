package main

import (
	"errors"
	"sync"
	"time"
)

func measure(o options) (*report, error) {
	c, err := gather(o)
	if err != nil {
		return nil, err
	}
	defer c.leave()
	switch o.mode {
	case storm:
		return c.measureStorm()
	case idle:
		return c.measureIdle()
	}
	return c.measureSteady()
}

// measureSteady joins, then sends at a rate; what comes after the warming-up counts.
func (c *crowd) measureSteady() (*report, error) {
	if err := c.assemble(c.options.connections, c.options.rooms*c.options.streams); err != nil {
		return nil, err
	}
	finish := c.startSending()
	time.Sleep(c.options.warm)
	result, err := c.measureFor(c.options.duration)
	finish()
	if err != nil {
		return nil, err
	}
	if c.options.check {
		result.verdict(c.judge())
	}
	result.Ended = c.ended.Load()
	return result, nil
}

// measureIdle has one stream for a while, then all; memory counts, before and after.
func (c *crowd) measureIdle() (*report, error) {
	if err := c.assemble(1, 1); err != nil {
		return nil, err
	}
	finish := c.startSending()
	time.Sleep(c.options.warm)
	finish()
	alone, err := snapshotOf(c.options.processes)
	if err != nil {
		return nil, err
	}
	if err := c.assemble(c.options.connections, c.options.rooms*c.options.streams); err != nil {
		return nil, err
	}
	finish = c.startSending()
	result, err := c.measureFor(c.options.duration)
	finish()
	if err != nil {
		return nil, err
	}
	for i := range result.Processes {
		result.Processes[i].ResidentBefore = alone.processes[i].resident
	}
	if c.options.check {
		result.verdict(c.judge())
	}
	result.Ended = c.ended.Load()
	return result, nil
}

func (c *crowd) startSending() (finish func()) {
	stop := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() { c.sender.keepSending(stop) })
	return func() {
		close(stop)
		sending.Wait()
	}
}

func (c *crowd) measureFor(duration time.Duration) (*report, error) {
	before, err := snapshotOf(c.options.processes)
	if err != nil {
		return nil, err
	}
	c.takeCounts()
	c.sender.take()
	time.Sleep(duration)
	after, err := snapshotOf(c.options.processes)
	if err != nil {
		return nil, err
	}
	result := newReport(c.options)
	result.deliveries(c.takeCounts())
	result.sends(c.sender.take())
	result.between(c.options.processes, before, after)
	return result, nil
}

// measureStorm fills a room, then has all streams join it at once, from its first note.
func (c *crowd) measureStorm() (*report, error) {
	o := c.options
	if err := c.connectUpTo(o.connections); err != nil {
		return nil, err
	}
	c.sender.sendAll(o.notes)
	if sent := c.sender.take(); sent.acknowledged != int64(o.notes) {
		return nil, errors.New("the room could not be filled")
	}
	time.Sleep(o.warm)
	before, err := snapshotOf(o.processes)
	if err != nil {
		return nil, err
	}
	joins, err := c.stormIn(before.at)
	if err != nil {
		return nil, err
	}
	after, err := snapshotOf(o.processes)
	if err != nil {
		return nil, err
	}
	result := newReport(o)
	result.deliveries(c.takeCounts())
	result.Delay = spread{} // the notes are from before
	result.between(o.processes, before, after)
	result.Join = spreadOf(joins)
	result.Sent = int64(o.notes)
	result.verdict(c.judge())
	result.Ended = c.ended.Load()
	return result, nil
}

// stormIn opens all streams and returns when each has every note, or when the time is up.
func (c *crowd) stormIn(began time.Time) (*histogram, error) {
	var mu sync.Mutex
	joins := &histogram{}
	var joining sync.WaitGroup
	for number := range c.options.streams {
		one := c.subscription(number)
		one.seen.after = 0
		one.check = true // notes are counted once each
		one.onJoined = func() {}
		joining.Add(1)
		done := sync.OnceFunc(joining.Done)
		one.onCount = func(count int) {
			if count == c.options.notes {
				mu.Lock()
				joins.add(time.Since(began))
				mu.Unlock()
				done()
			}
		}
		one.onEnded = func(err error) {
			c.lost(err)
			done()
		}
		c.subscriptions = append(c.subscriptions, one)
		if err := c.open(one, number, true); err != nil {
			one.ended(err)
		}
	}
	all := make(chan struct{})
	go func() { joining.Wait(); close(all) }()
	select {
	case <-all:
	case <-time.After(c.options.duration):
	}
	mu.Lock()
	defer mu.Unlock()
	taken := *joins
	return &taken, nil
}
