package main

import (
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/lesismal/nbio/logging"
	"github.com/lesismal/nbio/nbhttp"
	"github.com/lesismal/nbio/nbhttp/websocket"
)

// On its own engine, where pollers read for all connections, as go-websocket-benchmark runs it.
func nbioEngine(listener net.Listener, handler http.Handler) error {
	// What it logs would stand among the answers on stdout.
	logging.Output = os.Stderr
	logging.SetLevel(logging.LevelError)
	engine := nbhttp.NewEngine(nbhttp.Config{
		Network:                 "tcp",
		Addrs:                   []string{listener.Addr().String()},
		Listen:                  func(string, string) (net.Listener, error) { return listener, nil },
		Handler:                 handler,
		IOMod:                   nbhttp.IOModNonBlocking,
		ReleaseWebsocketPayload: true,
	})
	return engine.Start()
}

func nbio(role string) http.HandlerFunc {
	upgrader := websocket.NewUpgrader()
	upgrader.CheckOrigin = func(*http.Request) bool { return true }
	echo := func(c *websocket.Conn, kind websocket.MessageType, data []byte) { _ = c.WriteMessage(kind, data) }
	switch role {
	case "echo", "idle":
		upgrader.OnMessage(echo)
	case "deflate":
		upgrader.EnableCompression(true)
		upgrader.OnMessage(echo)
	case "broadcast":
		var lock sync.Mutex
		members := map[*websocket.Conn]struct{}{}
		upgrader.OnOpen(func(c *websocket.Conn) {
			lock.Lock()
			members[c] = struct{}{}
			lock.Unlock()
		})
		upgrader.OnClose(func(c *websocket.Conn, _ error) {
			lock.Lock()
			delete(members, c)
			lock.Unlock()
		})
		// It has no message that is made once for all; without a bound of its own, a slow member's waits in memory.
		upgrader.OnMessage(func(_ *websocket.Conn, kind websocket.MessageType, data []byte) {
			lock.Lock()
			defer lock.Unlock()
			for member := range members {
				_ = member.WriteMessage(kind, data)
			}
		})
	default:
		return nil
	}
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		_ = c.SetReadDeadline(time.Time{})
	}
}
