package controller

import (
	"errors"
	"fmt"
	"strings"
)

// outward are the functions of Rego by which a policy reaches other machines, or reads about this one. A policy is evaluated with the network
// and the identity of the whole cluster's verification. Schemas may name others by address.
var outward = []string{"http.send", "net.lookup_ip_addr", "opa.runtime", "json.match_schema", "json.verify_schema"}

// checkTenantsPolicy returns an error if the policy of a namespace, whose parameters block has, reads files or calls one of the functions that
// are outward.
func checkTenantsPolicy(id ID, block map[string]any) error {
	if id.Namespace == "" {
		return nil
	}
	for key, value := range block {
		switch {
		case strings.EqualFold(key, "policyPath"):
			return errors.New("spec.parameters.policyPath: only cluster-wide resources can have files read; write the policy into spec.parameters.policy")
		case strings.EqualFold(key, "policy"):
			policy, _ := value.(string) // else whoever makes policies says so
			if err := checkRego(policy); err != nil {
				return fmt.Errorf("spec.parameters.policy: %w (policies of a namespace cannot call %s)", err, strings.Join(outward, ", "))
			}
		}
	}
	return nil
}
