package main

import (
	"math/bits"
	"time"
)

const (
	subBuckets  = 64 // of each power of two: a quantile is right within 1/64
	subBits     = 6
	bucketCount = (64 - subBits + 1) * subBuckets
)

// histogram counts durations, in microseconds, in buckets that grow with the value. The zero value is empty.
type histogram struct {
	counts []uint32 // made with the first value: most connections of an idle load have none
	total  int64
	max    time.Duration
}

func (h *histogram) add(value time.Duration) {
	if h.counts == nil {
		h.counts = make([]uint32, bucketCount)
	}
	h.counts[bucketOf(uint64(max(0, value.Microseconds())))]++
	h.total++
	h.max = max(h.max, value)
}

func (h *histogram) merge(other *histogram) {
	if other.total == 0 {
		return
	}
	if h.counts == nil {
		h.counts = make([]uint32, bucketCount)
	}
	for bucket, count := range other.counts {
		h.counts[bucket] += count
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// quantile is the duration that this share of all was not above; 0 of an empty histogram.
func (h *histogram) quantile(share float64) time.Duration {
	wanted := int64(share * float64(h.total))
	var below int64
	for bucket, count := range h.counts {
		below += int64(count)
		if count > 0 && below >= wanted {
			return min(h.max, time.Duration(topOf(bucket))*time.Microsecond)
		}
	}
	return h.max
}

// bucketOf: values below 2*subBuckets have a bucket each, then each power of two has subBuckets.
func bucketOf(value uint64) int {
	shift := max(0, bits.Len64(value)-subBits-1)
	return shift*subBuckets + int(value>>shift)
}

// topOf is the greatest value of a bucket.
func topOf(bucket int) uint64 {
	shift := max(0, bucket/subBuckets-1)
	return (uint64(bucket-shift*subBuckets)+1)<<shift - 1
}
