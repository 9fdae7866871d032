// The peers in Go: one program, one of them by its first argument, what it is to do by its second.
package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
)

// Each gives the handler of its role, or nil if it has no such thing, and what accepts for it.
var peers = map[string]struct {
	module string
	serve  func(role string) http.HandlerFunc
	run    func(net.Listener, http.Handler) error
}{
	"coder":   {"github.com/coder/websocket", coder, http.Serve},
	"gorilla": {"github.com/gorilla/websocket", gorilla, http.Serve},
	"gws":     {"github.com/lxzan/gws", lxzan, http.Serve},
	"nbio":    {"github.com/lesismal/nbio", nbio, nbioEngine},
}

func main() {
	peer, known := peers[os.Args[1]]
	role := os.Args[2]
	if !known {
		panic("there is no peer " + os.Args[1])
	}
	handler := peer.serve(role)
	if handler == nil {
		fmt.Printf("{\"lacks\":%q}\n", role)
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		// An engine returns when it has started; a server does not return.
		if err := peer.run(listener, handler); err != nil {
			panic(err)
		}
	}()
	fmt.Printf("{\"port\":%d,\"version\":%q}\n", listener.Addr().(*net.TCPAddr).Port, version(peer.module))

	// "memory" on stdin is answered, and its end is ours.
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		debug.FreeOSMemory()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		fmt.Printf("{\"live\":%d}\n", memory.HeapAlloc+memory.StackInuse)
	}
}

func version(module string) string {
	info, _ := debug.ReadBuildInfo()
	for _, one := range info.Deps {
		if one.Path == module {
			return module + " " + one.Version + ", " + runtime.Version()
		}
	}
	return module
}
