// Package servingcert makes, renews and serves the TLS certificate that Gatekeeper sees, without a handshake that fails.
//
// The certificate is kept in a Secret, with the certificate authority that issued it; the keys in it, the names and the terms are those of
// cert-controller in Ratify v1.4, whose Secret is taken over as it is. Keeper renews what is in the Secret and writes the authority to
// Gatekeeper's Providers; one replica runs it. Certificate is what every replica shows, from the Secret itself: the files that the kubelet makes of a
// Secret are a minute late.
//
// A new authority is known to Gatekeeper, besides the old one, before anything that it issued is shown.
package servingcert
