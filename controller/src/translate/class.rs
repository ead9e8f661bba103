//! Whether an Ingress is ours: by the class of its field, else of its annotation, else by setting.

use super::TranslateSettings;
use crate::objects::annotations::did_you_mean;
use crate::objects::{Ingress, IngressClass, Objects};
use crate::status::{Problem, Reason};

/// `spec.controller` of the IngressClasses that are ours, whatever their name.
const CONTROLLER: &str = "tidegate.dev/ingress";

/// Why a class is not ours; `None`: it is.
pub(super) fn foreign_class(class: &IngressClass) -> Option<Problem> {
    (*class.controller != *CONTROLLER).then(|| {
        let message = format!("controller {:?} is not {CONTROLLER:?}", class.controller);
        Problem::at("spec.controller", Reason::ForeignClass, message)
    })
}

/// Why an Ingress is not ours; `None`: it is. An IngressClass object decides; a class without one is ours by its name.
pub(super) fn foreign(ingress: &Ingress, objects: &Objects, settings: &TranslateSettings) -> Option<Problem> {
    let Some(name) = &ingress.class else {
        let message = "no class: it needs a spec.ingressClassName, or --watch-ingress-without-class";
        return (!settings.ingress.without_class).then(|| Problem::whole(Reason::NoClass, message));
    };
    let message = match objects.class(name) {
        Some(class) if foreign_class(class).is_none() => return None,
        Some(class) => format!("class {name:?} belongs to controller {:?}", class.controller),
        None if settings.ingress.classes.iter().any(|class| **class == **name) => return None,
        None => {
            let ours: Vec<_> = settings.ingress.classes.iter().map(String::as_str).collect();
            format!(
                "class {name:?} has no IngressClass object and is none of ours: {}{}",
                ours.join(", "),
                did_you_mean(name, &ours)
            )
        }
    };
    Some(Problem::whole(Reason::ForeignClass, message))
}
