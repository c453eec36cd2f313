package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protowire"
)

// client is connected to a hub of the test's own.
func client(t *testing.T) (*grpc.ClientConn, context.Context) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := newServer()
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	connection, err := grpc.NewClient(listener.Addr().String(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return connection, ctx
}

func subscribeTo(t *testing.T, ctx context.Context, over *grpc.ClientConn, method string, request []byte) grpc.ClientStream {
	t.Helper()
	stream, err := over.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(&request); err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Header(); err != nil {
		t.Fatal(err)
	}
	return stream
}

func send(t *testing.T, ctx context.Context, over *grpc.ClientConn, method string, request []byte) []byte {
	t.Helper()
	var response []byte
	if err := over.Invoke(ctx, method, &request, &response); err != nil {
		t.Fatal(err)
	}
	return response
}

func note(room, text string) []byte {
	return appendBytes(appendBytes(appendBytes(nil, 1, []byte(room)), 2, []byte("ada")), 3, []byte(text))
}

func receive(t *testing.T, stream grpc.ClientStream) []byte {
	t.Helper()
	var message []byte
	if err := stream.RecvMsg(&message); err != nil {
		t.Fatal(err)
	}
	return message
}

// textsOf reads the texts of the notes of a SubscribeResponse.
func textsOf(t *testing.T, response []byte) []string {
	t.Helper()
	var texts []string
	for len(response) > 0 {
		_, _, size := protowire.ConsumeTag(response)
		event, length := protowire.ConsumeBytes(response[size:])
		response = response[size+length:]
		kind, err := fieldsOf(event)
		if err != nil {
			t.Fatal(err)
		}
		note, err := fieldsOf(kind[1])
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(note[6]))
	}
	return texts
}

const (
	subscribeMethod = "/notecast.v1.ChatService/Subscribe"
	sendMethod      = "/notecast.v1.ChatService/SendNote"
)

func TestANoteReachesTheStreamsOfItsRoomAlone(t *testing.T) {
	over, ctx := client(t)
	blue := subscribeTo(t, ctx, over, subscribeMethod, appendBytes(nil, 1, appendBytes(nil, 1, []byte("blue"))))
	send(t, ctx, over, sendMethod, note("red", "not for blue"))
	if got := send(t, ctx, over, sendMethod, note("blue", "hello")); !bytes.Equal(got, sendResponse(1)) {
		t.Errorf("answered %x", got)
	}
	if got := textsOf(t, receive(t, blue)); len(got) != 1 || got[0] != "hello" {
		t.Errorf("got %q", got)
	}
}

func TestAStreamFromTheStartGetsTheNewestThousandAndGoesOn(t *testing.T) {
	over, ctx := client(t)
	const sent = keptNotes + 5
	for i := range sent {
		send(t, ctx, over, sendMethod, note("blue", fmt.Sprint(i)))
	}
	subscription := appendNumber(appendBytes(nil, 1, []byte("blue")), 4, 1)
	stream := subscribeTo(t, ctx, over, subscribeMethod, appendBytes(nil, 1, subscription))
	send(t, ctx, over, sendMethod, note("blue", fmt.Sprint(sent)))
	for want := sent - keptNotes; want <= sent; {
		for _, text := range textsOf(t, receive(t, stream)) {
			if text != fmt.Sprint(want) {
				t.Fatalf("note %s comes where %d should", text, want)
			}
			want++
		}
	}
}

func TestTheTutorialsStreamsHaveEveryNote(t *testing.T) {
	over, ctx := client(t)
	message := appendBytes(appendBytes(nil, 1, []byte("ada")), 2, []byte("hello"))
	send(t, ctx, over, "/grpc.ChatServer/SendNote", message)
	stream := subscribeTo(t, ctx, over, "/grpc.ChatServer/ChatStream", nil)
	send(t, ctx, over, "/grpc.ChatServer/SendNote", message)
	for range 2 {
		if got := receive(t, stream); !bytes.Equal(got, message) {
			t.Errorf("got %q", got)
		}
	}
}

func TestAReaderThatIsTooFarBehindIsDropped(t *testing.T) {
	r := newHub().room([]byte("blue"))
	slow, _ := r.join()
	for range backlog + 1 {
		r.post(func(uint64) []byte { return nil })
	}
	for range backlog {
		<-slow.messages
	}
	if _, open := <-slow.messages; open || len(r.readers) != 0 {
		t.Error("it is kept")
	}
}
