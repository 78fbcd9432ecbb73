// Package emulator is Alibaba Cloud on loopback, as far as this project uses it: STS, Container Registry's API, its token
// service and its registries, and Key Management Service, under their production host names.
//
// Start starts a cloud without instances:
//
//	cloud, err := emulator.Start(emulator.Options{})
//	...
//	defer cloud.Close()
//	err = cloud.AddInstance(emulator.Instance{Name: "demo"})
//
// An unmodified program needs the environment of PodEnv to use it: HTTPS_PROXY leads it to the cloud, SSL_CERT_FILE lets it
// trust the cloud, and the rest is what ACK injects into a pod with RRSA. Tests in the same process use Transport instead.
// Images and signatures are pushed through PushTransport. Keys and secrets are added through KMS; the hosts of dedicated
// instances (AddKMSInstance) are verified with certificates of their own (KMSInstanceCA), as they really are.
//
// Everything is checked as the real services check it: the OIDC token, each request's ACS3 signature (or a client key's),
// session, nonce and date, the password's instance and end, the Bearer token's repository and end. Time comes from Options.Now. Each host counts
// its calls, and can be slow, fail and lie: see Endpoint.
//
// Methods that return no error panic if the machine fails them (no free port, no space on the disk) or if they are asked for
// a host that does not exist: a test cannot go on then.
package emulator
