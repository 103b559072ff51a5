//! One request from its arrival to its answer: route, fault, execution, audit.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, USER_AGENT};
use hyper::{Request as HttpRequest, Response};
use serde_json::Value;

use super::discovery::{self, Information};
use super::execute::{Answer, Order, execute};
use super::kinds::Kind;
use super::meta;
use super::options::Query;
use super::reply::{self, Body, Broken, Form, error_response, full, json_response, typed_response};
use super::review;
use super::route::{Route, Target, Verb, route};
use super::serve::Context;
use super::status::ApiError;
use super::store::Key;
use super::watch::{self, Ends};
use crate::audit::Entry;
use crate::faults::{Fault, Request, control};
use crate::process::boottime_ns;

/// A request, read to its end.
pub(super) struct Call {
    method: String,
    path: String,
    query: Query,
    accept: String,
    content_type: String,
    user_agent: String,
    body: Bytes,
    arrived_ns: u64,
}

/// Handles a request. An error breaks the connection without an answer.
pub(super) async fn handle(context: Arc<Context>, request: HttpRequest<Incoming>) -> Result<Response<Body>, Broken> {
    let arrived_ns = boottime_ns();
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let header = |name: HeaderName| header(&parts.headers, &name);
    let call = Call {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: Query::parse(parts.uri.query().unwrap_or_default()),
        accept: header(ACCEPT),
        content_type: header(CONTENT_TYPE),
        user_agent: header(USER_AGENT),
        body,
        arrived_ns,
    };
    if let Some(answer) = control(&context.faults, &context.store, &call.method, &call.path, &call.body) {
        return Ok(json_response(answer.code, answer.body));
    }
    let installed = |kind: Kind| {
        let definition = Key::new(Kind::CustomResourceDefinition, "", kind.info().qualified());
        context.store.get(&definition).is_some()
    };
    match route(&call.method, &call.path, &call.query, installed) {
        Err(error) => Ok(error_response(&error)),
        Ok(Route::Information(path)) => {
            let served = discovery::served(installed);
            Ok(match discovery::information(&path, &served) {
                Ok(Information::Json(value)) => json_response(200, serde_json::to_vec(&value)?),
                Ok(Information::Text(word)) => typed_response(200, "text/plain", full(word)),
                Err(error) => error_response(&error),
            })
        }
        Ok(Route::AccessReview) => Ok(access_review(&context, &call)),
        Ok(Route::IdentityReview) => Ok(json_response(201, serde_json::to_vec(&review::identity())?)),
        Ok(Route::Resource(verb, target)) => on_resource(context, call, verb, target).await,
    }
}

fn header(headers: &HeaderMap, name: &HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

fn access_review(context: &Context, call: &Call) -> Response<Body> {
    let answered = parse_body(&call.body).and_then(|body| review::answer(&context.faults, body, &call.user_agent));
    match answered {
        Ok(review) => json_response(201, serde_json::to_vec(&review).unwrap_or_default()),
        Err(error) => error_response(&error),
    }
}

/// A request on objects, with whatever fault is set for it.
async fn on_resource(context: Arc<Context>, call: Call, verb: Verb, target: Target) -> Result<Response<Body>, Broken> {
    let request = Request {
        verb: verb.name().to_owned(),
        resource: target.kind.info().plural.to_owned(),
        subresource: target.subresource.clone(),
        namespace: target.namespace.clone().unwrap_or_default(),
        name: target.name.clone(),
        user_agent: call.user_agent.clone(),
    };
    let fault = context.faults.strike(&request);
    if verb == Verb::Watch
        && !matches!(fault, Some(Fault::Forbidden | Fault::ServerError | Fault::TooManyRequests { .. }))
    {
        let ends = Ends { closing: context.closing.clone(), cut: context.faults.watch_begins(request) };
        let form = Form::of(&call.accept);
        let begun = watch::begin(&context.store, &target, &call.query, form, ends);
        return Ok(begun.unwrap_or_else(|error| error_response(&error)));
    }
    let executed = |fault: Option<&Fault>| execute_audited(&context, &call, verb, &target, fault);
    match fault {
        None => Ok(executed(None)),
        Some(fault @ Fault::Slow { delay_ms }) => {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            Ok(executed(Some(&fault)))
        }
        Some(fault @ Fault::Late { delay_ms }) => {
            // In a task of its own: the client may hang up, the effect comes all the same.
            let context = Arc::clone(&context);
            let late = tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(delay_ms)).await;
                execute_audited(&context, &call, verb, &target, Some(&fault))
            });
            Ok(late.await?)
        }
        Some(fault @ Fault::AnswerLost { hold_ms }) => {
            drop(executed(Some(&fault)));
            match hold_ms {
                Some(hold_ms) => tokio::time::sleep(Duration::from_millis(hold_ms)).await,
                None => context.closing.cancelled().await,
            }
            Err("the answer was lost".into())
        }
        Some(fault) => {
            let refused = refusal(&fault, &target);
            audit(&context, &call, verb, &target, Some(&fault), &Outcome::NotExecuted(refused.as_ref()));
            match refused {
                Some(error) => Ok(error_response(&error)),
                None => Err("the request was lost".into()),
            }
        }
    }
}

/// The error that a fault answers with; `None` breaks the connection.
fn refusal(fault: &Fault, target: &Target) -> Option<ApiError> {
    match fault {
        Fault::Conflict => Some(ApiError::modified(target.kind, &target.name)),
        Fault::TooManyRequests { retry_after_s } => Some(ApiError::too_many_requests(
            "the server has received too many requests and has asked us to try again later",
            Some(*retry_after_s),
        )),
        Fault::ServerError => Some(ApiError::internal("a fault of the sandbox")),
        Fault::Forbidden => Some(ApiError::forbidden(target.kind, &target.name, "a fault of the sandbox")),
        Fault::RequestLost | Fault::Slow { .. } | Fault::Late { .. } | Fault::AnswerLost { .. } => None,
    }
}

/// Executes, writes the audit log, and only then answers.
fn execute_audited(
    context: &Context,
    call: &Call,
    verb: Verb,
    target: &Target,
    fault: Option<&Fault>,
) -> Response<Body> {
    let order = Order { verb, target, query: &call.query, content_type: &call.content_type };
    let outcome = parse_body(&call.body).and_then(|body| execute(context, &order, body));
    audit(context, call, verb, target, fault, &Outcome::Executed(boottime_ns(), outcome.as_ref()));
    let form = Form::of(&call.accept);
    match outcome {
        Ok(Answer::Object(code, object)) => json_response(code, reply::object_bytes(&object, target, form)),
        Ok(Answer::Page(page)) => json_response(200, reply::list_bytes(&page, target, form)),
        Ok(Answer::Text(text)) => typed_response(200, "text/plain", full(text)),
        Err(error) => error_response(&error),
    }
}

/// The body as JSON; none is `null`. Apply patches are YAML by name, but clients send JSON, which is YAML.
fn parse_body(body: &[u8]) -> Result<Value, ApiError> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request(format!("the object provided is unrecognized: {error}")))
}

/// What became of a request.
enum Outcome<'a> {
    /// It was executed at this time.
    Executed(u64, Result<&'a Answer, &'a ApiError>),
    /// A fault stood before it.
    NotExecuted(Option<&'a ApiError>),
}

/// Writes down a request that could have changed something.
fn audit(context: &Context, call: &Call, verb: Verb, target: &Target, fault: Option<&Fault>, outcome: &Outcome<'_>) {
    if !verb.mutates() {
        return;
    }
    let (executed_ns, answer, error) = match outcome {
        Outcome::Executed(at_ns, Ok(answer)) => (Some(*at_ns), Some(*answer), None),
        Outcome::Executed(at_ns, Err(error)) => (Some(*at_ns), None, Some(*error)),
        Outcome::NotExecuted(error) => (None, None, *error),
    };
    let (code, object) = match answer {
        Some(Answer::Object(code, object)) => (Some(*code), Some(object)),
        Some(Answer::Page(_) | Answer::Text(_)) => (Some(200), None),
        None => (error.map(|error| error.code), None),
    };
    let told = |pointer: &str| object.map_or("", |object| meta::text(object, pointer)).to_owned();
    let name = if target.name.is_empty() { told("/metadata/name") } else { target.name.clone() };
    // The bodies of secrets stay out of files; those of everything else are what journals are compared with.
    let body = if target.kind == Kind::Secret { Value::Null } else { parse_body(&call.body).unwrap_or_default() };
    context.audit.write(Entry {
        seq: 0,
        arrived_ns: call.arrived_ns,
        executed_ns,
        user_agent: call.user_agent.clone(),
        verb: verb.name().to_owned(),
        group: target.kind.info().group.to_owned(),
        resource: target.kind.info().plural.to_owned(),
        subresource: target.subresource.clone(),
        namespace: target.namespace.clone().unwrap_or_default(),
        name,
        uid: told("/metadata/uid"),
        resource_version: told("/metadata/resourceVersion"),
        code,
        reason: error.map_or("", |error| error.reason).to_owned(),
        fault: fault.cloned(),
        dry_run: call.query.dry_run(),
        body,
    });
}
