// Package plugin reads registries, or whatever else holds artifacts, with programs: any executable in a plugin directory that speaks Ratify's
// protocol for stores.
//
// A program is run for each operation. It has RATIFY_STORE_COMMAND (LISTREFERRERS, GETREFMANIFEST, GETBLOB or GETSUBJECTDESCRIPTOR),
// RATIFY_STORE_SUBJECT, RATIFY_STORE_VERSION and RATIFY_STORE_ARGS (key=value;key=value) in its environment, which otherwise is that of this
// process, and the store's configuration as a JSON object on its standard input. It prints its reply as one line of JSON among the lines
// of its log; GETBLOB prints the blob itself, byte for byte, and logs to stderr only. (Ratify reads blobs, too, as lines of JSON, and
// gets no others.)
//
// What programs reply is checked: blobs and subjects against the digests that were asked for, and all sizes and numbers. A manifest comes
// without the bytes that its digest is of, so that a program is trusted for which blobs it says a referrer has.
package plugin
