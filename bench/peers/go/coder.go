package main

import (
	"context"
	"net/http"

	"github.com/coder/websocket"
)

// As its echo example does it.
func coder(role string) http.HandlerFunc {
	if role != "echo" && role != "deflate" && role != "idle" {
		return nil
	}
	options := &websocket.AcceptOptions{InsecureSkipVerify: true}
	if role == "deflate" {
		options.CompressionMode = websocket.CompressionNoContextTakeover
	}
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, options)
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(-1)
		for {
			kind, data, err := c.Read(context.Background())
			if err != nil || c.Write(context.Background(), kind, data) != nil {
				return
			}
		}
	}
}
