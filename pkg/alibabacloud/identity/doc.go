// Package identity chooses whose rights the calls of Alibaba Cloud's APIs are made with: RRSA, or a configured credential.
package identity
