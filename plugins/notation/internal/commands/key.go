package commands

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/keyimport"
)

func newKey() *cobra.Command {
	cmd := &cobra.Command{Use: "key", Short: "Bring a key of your own into KMS", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(newKeyImport())
	return cmd
}

// keyImport is the flags of key import.
type keyImport struct {
	privateKey, publicKey, output string
	force                         bool
}

func newKeyImport() *cobra.Command {
	var o keyImport
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Encrypt a private key so that KMS can import it",
		Long: `Encrypt a private key so that KMS can import it.

Before: create a key in KMS with key material from an external source, and on its
page choose Key Material > Obtain Parameters for Import, public key type RSA_2048,
encryption algorithm RSAES_OAEP_SHA_256_AES_256_ECB_PKCS7_PAD. Download the public
key and the import token.

The private key is RSA with 2048 bits or EC P-256, in PKCS #1, SEC 1 or PKCS #8,
PEM or DER. KMS imports others, too, but Notation cannot sign with them in KMS, so
they are refused. Nothing is sent anywhere.`,
		Example: "  " + Name + ` key import --private-key tak.pem --public-key publickey_key-hzz6….pem`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.privateKey, "private-key", "", "`file` with the private key to import")
	flags.StringVar(&o.publicKey, "public-key", "", "`file` with the public key for the import (publickey_….pem or publickey_….bin)")
	flags.StringVar(&o.output, "output", "EncryptedKeyMaterial_base64.txt", "`file` to write")
	flags.BoolVar(&o.force, "force", false, "replace the file if it exists")
	require(cmd, "private-key", "public-key")
	return cmd
}

// require marks flags without which a command cannot run.
func require(cmd *cobra.Command, names ...string) {
	for _, name := range names {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // only for a flag that is not there
		}
	}
}

func (o keyImport) run(cmd *cobra.Command) error {
	if err := checkNew(o.output, o.force); err != nil {
		return err
	}
	material, spec, err := o.wrap()
	if err != nil {
		return err
	}
	// It is encrypted, but nobody else's business.
	if err := write(o.output, material, 0o600, o.force); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), `Wrote %s: the %s key of %s, encrypted for KMS.

Next, within 24 hours of the download of %s:
  1. In the KMS console, open the key. It must be of spec %s and usage SIGN/VERIFY.
  2. Key Material > Import Key Material: upload %s
     and the token_….txt that was downloaded together with the public key.
  3. Wait until the key is Enabled, then check it:
     %s doctor --id KEY

KMS binds the key to this key material for good: no other can be imported into it.
Keep %s offline or destroy it: whoever has it can sign in your name.
`, o.output, spec, o.privateKey, filepath.Base(o.publicKey), spec, o.output, Name, o.privateKey)
	return nil
}

// wrap returns the encrypted key material and the spec of the key.
func (o keyImport) wrap() (material []byte, spec string, err error) {
	data, err := readFile(o.publicKey, keyimport.MaxBytes)
	if err != nil {
		return nil, "", fmt.Errorf("--public-key: %w", err)
	}
	wrapping, err := keyimport.ParseWrappingKey(data)
	if err != nil {
		return nil, "", fmt.Errorf("--public-key %s: %w", o.publicKey, err)
	}
	secret, err := readFile(o.privateKey, keyimport.MaxBytes)
	if err != nil {
		return nil, "", fmt.Errorf("--private-key: %w", err)
	}
	defer clear(secret)
	key, err := keyimport.ParsePrivateKey(secret)
	if err != nil {
		return nil, "", fmt.Errorf("--private-key %s: %w", o.privateKey, err)
	}
	defer key.Destroy()
	material, err = key.Wrap(wrapping)
	if err != nil {
		return nil, "", fmt.Errorf("--public-key %s: %w", o.publicKey, err)
	}
	return material, string(key.Spec), nil
}
