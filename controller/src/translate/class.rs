//! Whether an Ingress is ours: by the class of its field, else of its annotation, else by setting.

use super::TranslateSettings;
use crate::objects::annotations::did_you_mean;
use crate::objects::{Ingress, IngressClass, Objects};
use crate::status::{Problem, Reason};

/// Why a class is not ours; `None`: it is.
pub(super) fn foreign_class(class: &IngressClass, settings: &TranslateSettings) -> Option<Problem> {
    let ours = settings.ingress.controller.as_str();
    (*class.controller != *ours).then(|| {
        let message = format!("controller {:?} is not {ours:?}", class.controller);
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
        Some(class) if foreign_class(class, settings).is_none() => return None,
        Some(class) => format!("class {name:?} belongs to controller {:?}", class.controller),
        None if settings.ingress.classes.iter().any(|class| **class == **name) => return None,
        None if settings.ingress.classes.is_empty() => {
            format!("class {name:?} has no IngressClass object, and no class is ours by its name")
        }
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
