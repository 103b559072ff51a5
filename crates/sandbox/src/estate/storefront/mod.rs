//! The shop's services, one program in three roles: `storefront` (the public entry: catalogue, search, login; it
//! forwards carts and checkouts), `cart` and `checkout`. All read and write the database through its Service.
//!
//! Small on purpose: a dozen of them run beside the databases.

mod cart;
mod catalog;
mod checkout;
mod database;
mod forward;
mod reply;
mod session;

use std::{io, net::SocketAddr, process::ExitCode, sync::Arc};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use tokio::net::TcpListener;

use database::Database;

use crate::estate::credentials::Password;

/// Which of the shop's services a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The public entry.
    Storefront,
    /// Carts.
    Cart,
    /// Orders and payments.
    Checkout,
}

impl Role {
    /// The role's name, as in Deployments and Services.
    pub fn name(self) -> &'static str {
        match self {
            Self::Storefront => "storefront",
            Self::Cart => "cart",
            Self::Checkout => "checkout",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Storefront, Self::Cart, Self::Checkout].into_iter().find(|role| role.name() == name)
    }
}

/// What a service needs to know, from its environment.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What it is.
    pub role: Role,
    /// Where it listens.
    pub listen: SocketAddr,
    /// The database's URL, without password.
    pub database_url: String,
    /// The password of `storefront`.
    pub password: Password,
    /// The cart service, for the public entry.
    pub cart: SocketAddr,
    /// The checkout service, for the public entry.
    pub checkout: SocketAddr,
}

/// Environment variables that [`Settings`] are read from.
pub mod env {
    /// One of `storefront`, `cart`, `checkout`.
    pub const ROLE: &str = "SHOP_ROLE";
    /// Port to listen on, at `POD_IP`.
    pub const PORT: &str = "SHOP_PORT";
    /// The database's URL, without password.
    pub const DATABASE_URL: &str = "DATABASE_URL";
    /// The file with the password.
    pub const PASSWORD_FILE: &str = "DATABASE_PASSWORD_FILE";
    /// Address of the cart Service.
    pub const CART: &str = "SHOP_CART";
    /// Address of the checkout Service.
    pub const CHECKOUT: &str = "SHOP_CHECKOUT";
    /// The pod's own address.
    pub const POD_IP: &str = "POD_IP";
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// Names the variable that is missing or wrong.
    pub fn from_env() -> Result<Self, String> {
        let var = |name: &str| std::env::var(name).map_err(|_| format!("the environment variable {name} is missing"));
        let socket = |name: &str| {
            let text = var(name)?;
            text.parse::<SocketAddr>().map_err(|error| format!("{name}={text}: expected ADDRESS:PORT ({error})"))
        };
        let role = var(env::ROLE)?;
        let listen = format!("{}:{}", var(env::POD_IP)?, var(env::PORT)?);
        Ok(Self {
            role: Role::parse(&role)
                .ok_or_else(|| format!("{}={role}: expected storefront, cart or checkout", env::ROLE))?,
            listen: listen.parse().map_err(|error| format!("{listen}: expected ADDRESS:PORT ({error})"))?,
            database_url: var(env::DATABASE_URL)?,
            password: read_password(&var(env::PASSWORD_FILE)?)?,
            cart: socket(env::CART)?,
            checkout: socket(env::CHECKOUT)?,
        })
    }
}

fn read_password(file: &str) -> Result<Password, String> {
    std::fs::read_to_string(file).map(|text| Password::from_text(&text)).map_err(|error| format!("{file}: {error}"))
}

/// What every handler shares.
struct Shop {
    database: Database,
    cart: SocketAddr,
    checkout: SocketAddr,
}

type Shared = State<Arc<Shop>>;

/// Runs one service until SIGTERM.
pub fn storefront_main() -> ExitCode {
    let run = || -> Result<(), String> {
        let settings = Settings::from_env()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .thread_stack_size(256 * 1024)
            .build()
            .map_err(|error| format!("starting the runtime: {error}"))?;
        runtime.block_on(serve(settings)).map_err(|error| error.to_string())
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            use io::Write as _;
            // The pod's log is its standard error.
            let _ = writeln!(io::stderr(), "{message}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until SIGTERM; requests under way are finished.
pub async fn serve(settings: Settings) -> io::Result<()> {
    let listener = TcpListener::bind(settings.listen).await?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let app = router(&settings).map_err(io::Error::other)?;
    axum::serve(
        axum::serve::ListenerExt::tap_io(listener, |stream| {
            // A response must not wait for the acknowledgement of the one before.
            let _ = stream.set_nodelay(true);
        }),
        app,
    )
    .with_graceful_shutdown(async move {
        terminate.recv().await;
    })
    .await
}

/// The routes of a role.
pub fn router(settings: &Settings) -> Result<Router, String> {
    let shop = Arc::new(Shop {
        database: Database::connect_lazily(&settings.database_url, &settings.password)?,
        cart: settings.cart,
        checkout: settings.checkout,
    });
    let health = Router::new().route("/healthz", get(async || StatusCode::NO_CONTENT)).route("/readyz", get(ready));
    let routes = match settings.role {
        Role::Storefront => catalog::routes().merge(session::routes()).merge(forward::routes()),
        Role::Cart => cart::routes(),
        Role::Checkout => checkout::routes(),
    };
    Ok(health.merge(routes).with_state(shop))
}

/// Ready once the database answered for the first time. Not afterwards: a service that leaves its load balancer
/// whenever its database stumbles turns one outage into two.
async fn ready(State(shop): Shared) -> StatusCode {
    if shop.database.has_answered().await { StatusCode::NO_CONTENT } else { StatusCode::SERVICE_UNAVAILABLE }
}
