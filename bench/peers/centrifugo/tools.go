//go:build tools

// Package tools names the program that bench:brokers builds.
package tools

import _ "github.com/centrifugal/centrifugo/v6"
