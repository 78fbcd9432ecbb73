// Package commands is the part of the plugin that people run: certificates, the import of keys, and the doctor.
package commands
