package main

import (
	"net/http"
	"sync"

	"github.com/gorilla/websocket"
)

// As its chat and echo examples do it: a goroutine reads, and for a broadcast another one writes from a channel.
func gorilla(role string) http.HandlerFunc {
	upgrader := websocket.Upgrader{EnableCompression: role == "deflate", CheckOrigin: func(*http.Request) bool { return true }}
	var lock sync.Mutex
	members := map[chan *websocket.PreparedMessage]struct{}{}

	switch role {
	case "echo", "deflate", "idle":
		return func(w http.ResponseWriter, r *http.Request) {
			c, err := upgrader.Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer c.Close()
			for {
				kind, data, err := c.ReadMessage()
				if err != nil || c.WriteMessage(kind, data) != nil {
					return
				}
			}
		}
	case "broadcast":
		return func(w http.ResponseWriter, r *http.Request) {
			// A slow member's messages wait here; beyond that it is dropped, as the chat example does.
			mine := make(chan *websocket.PreparedMessage, 1024)
			c, err := upgrader.Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer c.Close()
			lock.Lock()
			members[mine] = struct{}{}
			lock.Unlock()
			go func() {
				for message := range mine {
					if c.WritePreparedMessage(message) != nil {
						return
					}
				}
				c.Close()
			}()
			for {
				kind, data, err := c.ReadMessage()
				if err != nil {
					lock.Lock()
					if _, there := members[mine]; there {
						delete(members, mine)
						close(mine)
					}
					lock.Unlock()
					return
				}
				message, _ := websocket.NewPreparedMessage(kind, data)
				lock.Lock()
				for member := range members {
					select {
					case member <- message:
					default:
						delete(members, member)
						close(member)
					}
				}
				lock.Unlock()
			}
		}
	}
	return nil
}
