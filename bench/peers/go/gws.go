package main

import (
	"net/http"
	"sync"

	"github.com/lxzan/gws"
)

type events struct {
	gws.BuiltinEventHandler
	lock    sync.Mutex
	members map[*gws.Conn]struct{} // nil but for a broadcast
}

func (e *events) OnOpen(c *gws.Conn) {
	if e.members != nil {
		e.lock.Lock()
		e.members[c] = struct{}{}
		e.lock.Unlock()
	}
}

func (e *events) OnClose(c *gws.Conn, _ error) {
	if e.members != nil {
		e.lock.Lock()
		delete(e.members, c)
		e.lock.Unlock()
	}
}

func (e *events) OnPing(c *gws.Conn, payload []byte) { _ = c.WritePong(payload) }

func (e *events) OnMessage(c *gws.Conn, message *gws.Message) {
	defer message.Close()
	if e.members == nil {
		_ = c.WriteMessage(message.Opcode, message.Bytes())
		return
	}
	shared := gws.NewBroadcaster(message.Opcode, message.Bytes())
	defer shared.Close()
	e.lock.Lock()
	defer e.lock.Unlock()
	for member := range e.members {
		_ = shared.Broadcast(member)
	}
}

func lxzan(role string) http.HandlerFunc {
	handler := &events{}
	options := &gws.ServerOption{CheckUtf8Enabled: true}
	switch role {
	case "echo", "idle":
	case "deflate":
		options.PermessageDeflate = gws.PermessageDeflate{Enabled: true, Threshold: 1, Level: 1}
	case "broadcast":
		handler.members = map[*gws.Conn]struct{}{}
	default:
		return nil
	}
	upgrader := gws.NewUpgrader(handler, options)
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r)
		if err != nil {
			return
		}
		go c.ReadLoop()
	}
}
