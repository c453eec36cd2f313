package main

import (
	"testing"
	"time"
)

func TestAQuantileIsRightWithinASixtyFourth(t *testing.T) {
	var h histogram
	for microseconds := 1; microseconds <= 100_000; microseconds++ {
		h.add(time.Duration(microseconds) * time.Microsecond)
	}
	for _, share := range []float64{0.01, 0.5, 0.99, 1} {
		want := share * 100_000
		got := float64(h.quantile(share).Microseconds())
		if got < want || got > want*(1+1.0/subBuckets)+1 {
			t.Errorf("quantile %v is %v µs, not %v", share, got, want)
		}
	}
}

func TestEveryValueFallsIntoABucketThatHoldsIt(t *testing.T) {
	for _, value := range []uint64{0, 1, 127, 128, 129, 255, 256, 1_000_000, 1<<63 - 1} {
		bucket := bucketOf(value)
		if value > topOf(bucket) || bucket > 0 && value <= topOf(bucket-1) {
			t.Errorf("%d is in bucket %d, which ends at %d", value, bucket, topOf(bucket))
		}
	}
}

func TestMergedHistogramsAreAsOneThatSawAll(t *testing.T) {
	var one, other histogram
	one.add(time.Millisecond)
	other.add(time.Second)
	one.merge(&other)
	one.merge(&histogram{})
	if one.total != 2 || one.max != time.Second || one.quantile(1) != time.Second {
		t.Errorf("got %d values up to %v", one.total, one.max)
	}
}
