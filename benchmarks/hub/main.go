// Command hub is a chat hub on grpc-go, in memory, without Redis, history or guarantees: what a Go
// engineer writes in an afternoon, and what the gateway is measured against.
// It answers notecast.v1.ChatService (SendNote, Subscribe) and the tutorial's grpc.ChatServer.
package main

import (
	"fmt"
	"net"
	"os"

	"google.golang.org/grpc"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: hub HOST:PORT")
		os.Exit(2)
	}
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "hub:", err)
		os.Exit(1)
	}
	if err := newServer().Serve(listener); err != nil {
		fmt.Fprintln(os.Stderr, "hub:", err)
		os.Exit(1)
	}
}

func newServer() *grpc.Server {
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}))
	h := newHub()
	server.RegisterService(chatService(h), struct{}{})
	server.RegisterService(tutorialService(h.room(nil)), struct{}{})
	return server
}
