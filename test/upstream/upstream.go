// Package upstream pins the Ratify release that this project is compared with.
package upstream

import _ "github.com/ratify-project/ratify/pkg/executor" // keeps the requirement in go.mod
