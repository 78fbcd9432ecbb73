// Package httplimit makes HTTP clients for SDKs that bound neither the time nor the size of an answer by themselves.
package httplimit
