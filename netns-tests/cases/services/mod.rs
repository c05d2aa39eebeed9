//! Real services, as docs/examples has them: the files there are installed on both servers and run unchanged.

mod by_hand;
