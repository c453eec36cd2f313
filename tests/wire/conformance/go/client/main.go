// A grpc-go client that does one thing to a grpc.testing.TestService and says as JSON how it ended.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
)

const (
	interval  = 50 * time.Millisecond // between the messages of a stream
	shortest  = 300 * time.Millisecond
	patience  = 20 * time.Second
	bodySize  = 40_000
	messages  = 10
	endless   = 1000
	workers   = 16
	perStream = 4
)

// What a case saw.
type outcome struct {
	Answered int            `json:"answered"` // messages that came
	Bytes    int            `json:"bytes"`    // in their bodies
	Statuses map[string]int `json:"statuses"` // how calls ended, by code, with the text where they failed
}

type ledger struct {
	sync.Mutex
	outcome
}

func (l *ledger) ended(err error) {
	name := status.Code(err).String()
	if err != nil && name != "Canceled" && name != "DeadlineExceeded" {
		name = err.Error()
	}
	l.Lock()
	defer l.Unlock()
	l.Statuses[name]++
}

func (l *ledger) answered(size int) {
	l.Lock()
	defer l.Unlock()
	l.Answered++
	l.Bytes += size
}

type testCase func(context.Context, testpb.TestServiceClient, *ledger)

var cases = map[string]testCase{
	"unary":              unary(),
	"unary_gzip":         unary(grpc.UseCompressor(gzip.Name)),
	"stream":             stream(messages, patience, false),
	"stream_gzip":        stream(messages, patience, false, grpc.UseCompressor(gzip.Name)),
	"client_stream_gzip": clientStream(grpc.UseCompressor(gzip.Name)),
	"cancel":             stream(endless, patience, true),
	"deadline":           stream(endless, shortest, false),
	"drain":              drain,
}

func body(size int) *testpb.Payload { return &testpb.Payload{Body: make([]byte, size)} }

func unary(options ...grpc.CallOption) testCase {
	return func(ctx context.Context, stub testpb.TestServiceClient, seen *ledger) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		request := &testpb.SimpleRequest{ResponseSize: bodySize, Payload: body(bodySize)}
		reply, err := stub.UnaryCall(ctx, request, options...)
		if err == nil {
			seen.answered(len(reply.Payload.Body))
		}
		seen.ended(err)
	}
}

func clientStream(options ...grpc.CallOption) testCase {
	return func(ctx context.Context, stub testpb.TestServiceClient, seen *ledger) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		call, err := stub.StreamingInputCall(ctx, options...)
		for sent := 0; err == nil && sent < messages; sent++ {
			err = call.Send(&testpb.StreamingInputCallRequest{Payload: body(bodySize)})
		}
		if err == nil {
			var reply *testpb.StreamingInputCallResponse
			if reply, err = call.CloseAndRecv(); err == nil {
				seen.answered(int(reply.AggregatedPayloadSize))
			}
		}
		seen.ended(err)
	}
}

func stream(count int, within time.Duration, leaves bool, options ...grpc.CallOption) testCase {
	return func(ctx context.Context, stub testpb.TestServiceClient, seen *ledger) {
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		call, err := stub.StreamingOutputCall(ctx, wanted(count), options...)
		for err == nil {
			var reply *testpb.StreamingOutputCallResponse
			if reply, err = call.Recv(); err == nil {
				seen.answered(len(reply.Payload.Body))
				if leaves {
					cancel()
				}
			}
		}
		if err == io.EOF {
			err = nil
		}
		seen.ended(err)
	}
}

func wanted(count int) *testpb.StreamingOutputCallRequest {
	request := &testpb.StreamingOutputCallRequest{}
	for made := 0; made < count; made++ {
		request.ResponseParameters = append(request.ResponseParameters, &testpb.ResponseParameters{
			Size: 1_000, IntervalUs: int32(interval.Microseconds()),
		})
	}
	return request
}

// Calls from many workers until standard input ends: half of them unary, half short streams.
func drain(ctx context.Context, stub testpb.TestServiceClient, seen *ledger) {
	ctx, stop := context.WithCancel(ctx)
	var done sync.WaitGroup
	for worker := 0; worker < workers; worker++ {
		call := unary()
		if worker%2 == 0 {
			call = stream(perStream, patience, false)
		}
		done.Add(1)
		go func() {
			defer done.Done()
			for ctx.Err() == nil {
				call(context.WithoutCancel(ctx), stub, seen)
			}
		}()
	}
	fmt.Println("calling")
	_, _ = bufio.NewReader(os.Stdin).ReadString(0)
	stop()
	done.Wait()
}

func main() {
	servers := flag.String("servers", "", "addresses with commas between; the first that can be reached is used")
	name := flag.String("case", "", "what to do")
	flag.Parse()
	run, known := cases[*name]
	if !known {
		fmt.Fprintf(os.Stderr, "no case %q\n", *name)
		os.Exit(2)
	}
	addresses := manual.NewBuilderWithScheme("servers")
	state := resolver.State{}
	for _, address := range strings.Split(*servers, ",") {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: address})
	}
	addresses.InitialState(state)
	channel, err := grpc.NewClient("servers:///", grpc.WithResolvers(addresses),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	seen := &ledger{outcome: outcome{Statuses: map[string]int{}}}
	run(context.Background(), testpb.NewTestServiceClient(channel), seen)
	_ = json.NewEncoder(os.Stdout).Encode(seen.outcome)
}
