// Package doctor finds out why the plugin does not sign, or shows that it does.
package doctor
