//! The shop: a purchase from end to end, and what its clients meet when its deployments are scaled to zero.

use firedrill_sandbox::truth::read_outages;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, StatusCode, body::Bytes};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    place::SOON,
    scene::{DEMO, Scene},
};

struct Browser {
    base: String,
    token: Option<String>,
    client: Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>,
}

impl Browser {
    fn new(scene: &Scene) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { base: scene.sandbox.facts().storefront_url.clone(), token: None, client }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<(StatusCode, Value), String> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = body.map_or_else(Bytes::new, |body| serde_json::to_vec(&body).unwrap().into());
        let request = request.header("content-type", "application/json").body(Full::new(body)).unwrap();
        let response = self.client.request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let bytes = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        Ok((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
    }

    async fn data(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.ask(method, path, body).await.unwrap();
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer["data"].clone()
    }
}

async fn scale(scene: &Scene, name: &str, replicas: u32) {
    let api: Api<Deployment> =
        Api::namespaced(scene.sandbox.cluster().client().unwrap(), &scene.sandbox.facts().namespace);
    let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
    api.patch(name, &PatchParams::default(), &patch).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purchase_works_and_a_shop_scaled_to_zero_is_down_until_it_is_back() {
    let scene = Scene::start("shop", DEMO).await;
    let mut browser = Browser::new(&scene);
    purchase(&mut browser).await;

    scale(&scene, "storefront", 0).await;
    tokio::time::timeout(SOON, async {
        while browser.ask(Method::GET, "/v2/categories", None).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the shop to be gone");
    scale(&scene, "storefront", 5).await;
    scene.sandbox.healthy(SOON).await.unwrap();
    assert_eq!(browser.data(Method::GET, "/v2/products?limit=3", None).await.as_array().unwrap().len(), 3);

    let place = scene.stop().await;
    let outages = read_outages(&place.path().join("truth.jsonl")).unwrap();
    assert!(outages.iter().any(|one| one.service == "storefront" && one.up_at.is_some()), "{outages:?}");
    assert!(!outages.iter().any(|one| one.service == "cart"), "{outages:?}");
}

async fn purchase(browser: &mut Browser) {
    let product = browser.data(Method::GET, "/v2/products?limit=10", None).await[0]["id"].clone();
    let anonymous = browser.ask(Method::GET, "/v2/cart", None).await.unwrap();
    assert_eq!(anonymous.0, StatusCode::UNAUTHORIZED);
    let wrong = json!({ "email": "test@ultramarket.example", "password": "wrong" });
    assert_eq!(browser.ask(Method::POST, "/v2/auth/login", Some(wrong)).await.unwrap().0, StatusCode::UNAUTHORIZED);
    let login = json!({ "email": "test@ultramarket.example", "password": "TestPassword123!" });
    let token = browser.data(Method::POST, "/v2/auth/login", Some(login)).await["token"].clone();
    browser.token = Some(token.as_str().unwrap().to_owned());
    let item = json!({ "productId": product, "quantity": 2 });
    browser.data(Method::POST, "/v2/cart/items", Some(item)).await;
    browser.data(Method::PUT, &format!("/v2/cart/items/{product}"), Some(json!({ "quantity": 3 }))).await;
    let cart = browser.data(Method::GET, "/v2/cart", None).await;
    assert_eq!(cart["items"][0]["quantity"], 3);
    let address = json!({ "street": "1 Invented Street", "city": "Sampleton", "zipCode": "12345", "country": "UZ" });
    let checkout = json!({ "shippingAddress": address, "paymentMethod": "stripe" });
    let order = browser.data(Method::POST, "/v2/checkout", Some(checkout.clone())).await["orderId"].clone();
    let payment = json!({ "orderId": order, "paymentToken": "test_token_123" });
    browser.data(Method::POST, "/v2/payments", Some(payment)).await;
    assert_eq!(browser.data(Method::GET, "/v2/cart", None).await["items"], json!([]));
    let again = browser.ask(Method::POST, "/v2/checkout", Some(checkout)).await.unwrap();
    assert_eq!(again.0, StatusCode::NOT_FOUND, "an empty cart is no order");
    for path in ["/v2/search?q=laptop", "/v2/recommendations/trending", "/v2/categories"] {
        assert!(!browser.data(Method::GET, path, None).await.as_array().unwrap().is_empty(), "{path}");
    }
    assert_eq!(browser.ask(Method::GET, "/v2/products/999999", None).await.unwrap().0, StatusCode::NOT_FOUND);
}
