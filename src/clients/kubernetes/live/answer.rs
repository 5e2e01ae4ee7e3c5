//! What every answer of an API server goes through before it is read: a limit of its length, and the HTTP status in the text of an
//! error.

use std::future::ready;

use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Either, Full, Limited};
use hyper::body::Bytes;
use hyper::{Response, StatusCode};
use kube::client::DynBody;
use tower::BoxError;

/// Longest answer that is read: a page of the largest ConfigMaps.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Longest answer about an error that is read; of a longer one only the status counts.
const ERROR_BYTES_MAX: usize = 1 << 20;

/// The body of an answer: one that ends with an error where it is longer than any of ours, or what was made of an error.
pub(super) type Answered = Either<Limited<Box<DynBody>>, Full<Bytes>>;

/// Limits an answer. One that is an error gets its HTTP status in its text: kube believes the text alone.
pub(super) fn limited(answer: Response<Box<DynBody>>) -> BoxFuture<'static, Result<Response<Answered>, BoxError>> {
    let (head, body) = answer.into_parts();
    let status = head.status;
    if !(status.is_client_error() || status.is_server_error()) {
        let body = Either::Left(Limited::new(body, ANSWER_BYTES_MAX));
        return Box::pin(ready(Ok(Response::from_parts(head, body))));
    }
    Box::pin(async move {
        let (mut body, mut text) = (body, Vec::new());
        while let Some(Ok(frame)) = body.frame().await {
            let Ok(data) = frame.into_data() else { continue };
            text.extend_from_slice(&data);
            if text.len() > ERROR_BYTES_MAX {
                text.clear();
                break;
            }
        }
        Ok(Response::from_parts(head, Either::Right(Full::new(with_status(status, &Bytes::from(text))))))
    })
}

/// The text of an error, with the code and the reason of its HTTP status where it lacks them: proxies answer `{}`, or nothing.
fn with_status(status: StatusCode, text: &Bytes) -> Bytes {
    let mut object = match serde_json::from_slice(text) {
        Ok(serde_json::Value::Object(object)) => object,
        _ if text.trim_ascii().is_empty() => serde_json::Map::new(),
        _ => return text.clone(),
    };
    if object.get("code").and_then(serde_json::Value::as_u64).is_none_or(|code| code == 0) {
        object.insert("code".to_owned(), status.as_u16().into());
    }
    let is_said = object.get("message").and_then(serde_json::Value::as_str).is_some_and(|words| !words.is_empty());
    if !is_said {
        let reason = object.get("reason").and_then(serde_json::Value::as_str).filter(|reason| !reason.is_empty());
        let reason = reason.or(status.canonical_reason()).unwrap_or("no reason was given").to_owned();
        object.insert("message".to_owned(), reason.into());
    }
    Bytes::from(serde_json::Value::Object(object).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_without_code_and_text_has_those_of_its_http_status() {
        let read = |status: StatusCode, text: &'static str| {
            let text = with_status(status, &Bytes::from_static(text.as_bytes()));
            let status: kube::core::Status = serde_json::from_slice(&text).unwrap();
            (status.code, status.message)
        };
        let busy = (429, "Too Many Requests".to_owned());
        assert_eq!(read(StatusCode::TOO_MANY_REQUESTS, "{}"), busy);
        assert_eq!(read(StatusCode::TOO_MANY_REQUESTS, " "), busy);
        assert_eq!(read(StatusCode::TOO_MANY_REQUESTS, r#"{"code":0,"message":""}"#), busy);
        assert_eq!(read(StatusCode::FORBIDDEN, r#"{"message":"no","code":403}"#), (403, "no".to_owned()));
        assert_eq!(&with_status(StatusCode::BAD_GATEWAY, &Bytes::from_static(b"<html>"))[..], b"<html>");
    }
}
