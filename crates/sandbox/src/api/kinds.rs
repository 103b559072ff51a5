//! The table of kinds: names, groups, scope, and which of the API's manners each has.

/// Whether objects live in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One set for the whole cluster.
    Cluster,
    /// One set a namespace.
    Namespaced,
}

/// A manner that some kinds have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// `status` is a subresource: the main resource ignores it, the subresource changes nothing else.
    Status,
    /// `scale` is a subresource.
    Scale,
    /// `metadata.generation` counts changes of the specification.
    Generation,
    /// An update must name the resource version it replaces.
    VersionedUpdate,
    /// An update of an object that is not there creates it.
    CreateOnUpdate,
    /// Served only once a `CustomResourceDefinition` of its name exists; no strategic merge.
    Custom,
}

/// A kind's entry in the table.
#[derive(Debug)]
pub(crate) struct Info {
    /// API group, empty for the core group.
    pub(crate) group: &'static str,
    /// API version within the group.
    pub(crate) version: &'static str,
    /// The resource's name in paths.
    pub(crate) plural: &'static str,
    /// Short names that people type.
    pub(crate) short: &'static [&'static str],
    /// Where its objects live.
    pub(crate) scope: Scope,
    /// Its manners.
    pub(crate) manners: &'static [Manner],
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident: $group:literal $version:literal $plural:literal $short:expr, $scope:ident, [$($manner:ident),*];)*) => {
        /// A kind of object that this API serves. The order is the order of the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[$doc])* $name,)*
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The kind's name as in `kind:`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }

        static TABLE: &[Info] = &[$(Info {
            group: $group,
            version: $version,
            plural: $plural,
            short: &$short,
            scope: Scope::$scope,
            manners: &[$(Manner::$manner),*],
        },)*];
    };
}

kinds! {
    /// A namespace.
    Namespace: "" "v1" "namespaces" ["ns"], Cluster, [Status];
    /// A node; the sandbox has two, on paper.
    Node: "" "v1" "nodes" ["no"], Cluster, [Status];
    /// A pod: a local process.
    Pod: "" "v1" "pods" ["po"], Namespaced, [Status];
    /// A service.
    Service: "" "v1" "services" ["svc"], Namespaced, [Status];
    /// The endpoints of a service, old form.
    Endpoints: "" "v1" "endpoints" ["ep"], Namespaced, [CreateOnUpdate];
    /// A secret.
    Secret: "" "v1" "secrets" [], Namespaced, [];
    /// A config map.
    ConfigMap: "" "v1" "configmaps" ["cm"], Namespaced, [];
    /// An event; also served as `events.k8s.io/v1`.
    Event: "" "v1" "events" ["ev"], Namespaced, [CreateOnUpdate];
    /// A service account.
    ServiceAccount: "" "v1" "serviceaccounts" ["sa"], Namespaced, [];
    /// A claim of storage: a directory.
    PersistentVolumeClaim: "" "v1" "persistentvolumeclaims" ["pvc"], Namespaced, [Status];
    /// A deployment.
    Deployment: "apps" "v1" "deployments" ["deploy"], Namespaced, [Status, Scale, Generation];
    /// A replica set.
    ReplicaSet: "apps" "v1" "replicasets" ["rs"], Namespaced, [Status, Scale, Generation];
    /// A stateful set.
    StatefulSet: "apps" "v1" "statefulsets" ["sts"], Namespaced, [Status, Scale, Generation];
    /// A horizontal pod autoscaler.
    HorizontalPodAutoscaler: "autoscaling" "v2" "horizontalpodautoscalers" ["hpa"], Namespaced, [Status];
    /// A disruption budget.
    PodDisruptionBudget: "policy" "v1" "poddisruptionbudgets" ["pdb"], Namespaced, [Status, Generation];
    /// A lease.
    Lease: "coordination.k8s.io" "v1" "leases" [], Namespaced, [VersionedUpdate, CreateOnUpdate];
    /// A slice of a service's endpoints.
    EndpointSlice: "discovery.k8s.io" "v1" "endpointslices" [], Namespaced, [Generation];
    /// A network policy, kept but not enforced.
    NetworkPolicy: "networking.k8s.io" "v1" "networkpolicies" ["netpol"], Namespaced, [Generation];
    /// A role, kept but not enforced.
    Role: "rbac.authorization.k8s.io" "v1" "roles" [], Namespaced, [];
    /// A role binding, kept but not enforced.
    RoleBinding: "rbac.authorization.k8s.io" "v1" "rolebindings" [], Namespaced, [];
    /// A validating webhook configuration, kept but not called.
    ValidatingWebhookConfiguration: "admissionregistration.k8s.io" "v1" "validatingwebhookconfigurations" [], Cluster, [Generation];
    /// A mutating webhook configuration, kept but not called.
    MutatingWebhookConfiguration: "admissionregistration.k8s.io" "v1" "mutatingwebhookconfigurations" [], Cluster, [Generation];
    /// A definition of custom resources; switches on the custom kinds of this table.
    CustomResourceDefinition: "apiextensions.k8s.io" "v1" "customresourcedefinitions" ["crd"], Cluster, [Status, Generation];
    /// KEDA's scaled object.
    ScaledObject: "keda.sh" "v1alpha1" "scaledobjects" ["so"], Namespaced, [Status, Generation, Custom];
    /// Argo CD's application.
    Application: "argoproj.io" "v1alpha1" "applications" ["app"], Namespaced, [Generation, Custom];
    /// Flux's kustomization.
    Kustomization: "kustomize.toolkit.fluxcd.io" "v1" "kustomizations" ["ks"], Namespaced, [Status, Generation, Custom];
}

impl Kind {
    /// The kind's entry.
    pub(crate) fn info(self) -> &'static Info {
        &TABLE[self.index()]
    }

    /// The kind's place in the table.
    pub(crate) fn index(self) -> usize {
        self as usize
    }

    /// Whether the kind has this manner.
    pub(crate) fn has(self, manner: Manner) -> bool {
        self.info().manners.contains(&manner)
    }

    /// `v1`, `apps/v1`, …
    pub(crate) fn api_version(self) -> String {
        self.info().api_version()
    }

    /// The kind that owner references and scale targets name by API version and kind; versions of a group are one.
    pub(crate) fn by_reference(api_version: &str, name: &str) -> Option<Self> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        Self::ALL.iter().copied().find(|kind| kind.info().group == group && kind.name() == name)
    }
}

impl Info {
    /// `v1`, `apps/v1`, …
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `deployments.apps`, `pods`: how messages and definitions call the resource.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, TABLE};

    #[test]
    fn every_kind_finds_its_own_entry() {
        for &kind in Kind::ALL {
            assert!(
                kind.info().plural.starts_with(&kind.name().to_lowercase()[..3]),
                "{kind:?} {}",
                kind.info().plural
            );
            assert_eq!(Kind::by_reference(&kind.api_version(), kind.name()), Some(kind));
        }
        assert_eq!(TABLE.len(), Kind::ALL.len());
    }
}
